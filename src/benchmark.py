"""Measures the training loop and the augmentations on this machine: `python -m src.benchmark`; see `--help`.

Machines are noisy and differ: only ratios count, of two sides that take turns in one process.
"""

import json
import statistics
from dataclasses import asdict, dataclass

from omegaconf import DictConfig

from src.commandline import CONFIGS, run_command
from src.config import check
from src.errors import require, require_choice
from src.schemas import BenchmarkConfig

COMPARED = ("affine", "crop_flip")  # the augmentations that torchvision has too, image by image


@dataclass(frozen=True)
class Comparison:
    """Two sides, each in `unit`; `ratio` is ours / other, the median of `rounds` rounds in which both were measured."""

    what: str
    ours: float
    other: float
    unit: str
    ratio: float
    rounds: int


def benchmark(config: DictConfig) -> None:
    """Prints one row per network, per pipeline and per augmentation."""
    check(config, schema=BenchmarkConfig)
    require_choice("format", config.format, ("table", "json"))
    require(config.rounds >= 1, f"rounds={config.rounds} must be at least 1")
    require(config.seconds > 0, f"seconds={config.seconds} must be above 0")
    require(config.trainer.max_minutes is None, "trainer.max_minutes would cut the measured loop short; leave it out")
    for name in config.augmentations:
        require_choice("augmentations", name, COMPARED)
    known = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))
    for group in ("networks", "pipelines"):
        for name in config[group]:
            require_choice(group, name, known)

    from src.tables import format_table
    from src.training.benchmarks import compare_augmentation, compare_loop, compare_pipeline
    from src.training.device import choose_placement

    placement = choose_placement(config.trainer)
    rows = [compare_loop(config, name, placement) for name in config.networks]
    rows += [compare_pipeline(config, name, placement) for name in config.pipelines]
    rows += [compare_augmentation(config, name, placement) for name in config.augmentations]
    comparisons = [summarise_rounds(*row) for row in rows]
    if config.format == "json":
        print(json.dumps({"device": placement.description, "rows": [asdict(row) for row in comparisons]}, indent=2))
        return
    print(f"on {placement.description}; batches of {config.data.batch_size}, median of {config.rounds} rounds\n")
    cells = [(c.what, f"{c.ours:,.1f}", f"{c.other:,.1f}", c.unit, f"{c.ratio:.3f}") for c in comparisons]
    print(format_table(("what", "ours", "other", "unit", "ours / other"), cells, align="<>><>"))


def summarise_rounds(what: str, unit: str, rounds: list[tuple[float, float]]) -> Comparison:
    """`rounds` holds (ours, other) of each round."""
    ours, other = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(mine / its for mine, its in rounds)
    return Comparison(what, ours, other, unit, ratio, len(rounds))


def main() -> None:
    run_command("benchmark", benchmark)


if __name__ == "__main__":
    main()
