"""Measures training and augmentation on this machine: `python -m src.benchmark`; see `--help`.

Machines are noisy and differ: only ratios count, of two sides that take turns in one process.
"""

import json
import statistics
from dataclasses import asdict, dataclass, fields

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.commandline import CONFIGS, run_command
from src.config import check
from src.errors import require, require_choice
from src.overrides import key_of
from src.schemas import BenchmarkConfig, TrainConfig

COMPARED = ("affine", "crop_flip")  # the augmentations that torchvision has too, image by image


@dataclass(frozen=True)
class Comparison:
    """Two sides, each in `unit`; `ratio` is ours / other, the median of `rounds` rounds in which both were measured.

    Whole trainings have no other side.
    """

    what: str
    ours: float
    other: float | None
    unit: str
    ratio: float | None
    rounds: int


def benchmark(config: DictConfig) -> None:
    """Prints one row per loop, per pipeline, per augmentation and per training."""
    check(config, schema=BenchmarkConfig)
    require_choice("format", config.format, ("table", "json"))
    require(config.rounds >= 1, f"rounds={config.rounds} must be at least 1")
    require(config.seconds > 0, f"seconds={config.seconds} must be above 0")
    require(bool(config.seeds), "seeds=[] leaves nothing to train with; leave it out for one")
    require(config.trainer.max_minutes is None, "trainer.max_minutes would cut the measured loop short; leave it out")
    for name in config.augmentations:
        require_choice("augmentations", name, COMPARED)
    known = sorted(str(path.relative_to(CONFIGS / "experiment").with_suffix(""))
                   for path in (CONFIGS / "experiment").rglob("*.yaml"))  # fmt: skip
    for group in ("loops", "pipelines", "trainings"):
        for name in config[group]:
            require_choice(group, name, known)

    from src.tables import format_table
    from src.training.benchmarks import compare_augmentation, compare_loop, compare_pipeline, measure_training
    from src.training.device import choose_placement

    rows = [compare_loop(recipe(name, "benchmark"), name) for name in config.loops]
    rows += [compare_pipeline(recipe(name, "benchmark"), name) for name in config.pipelines]
    rows += [compare_augmentation(config, name) for name in config.augmentations]
    comparisons = [summarise_rounds(*row) for row in rows]
    for name in config.trainings:
        runs = [measure_training(recipe(name, "train"), seed) for seed in config.seeds]
        comparisons.append(summarise_trainings(name, runs))
    device = choose_placement(config.trainer).description
    if config.format == "json":
        print(json.dumps({"device": device, "rows": [asdict(row) for row in comparisons]}, indent=2))
        return
    print(f"on {device}; medians of {config.rounds} rounds\n")
    cells = [(c.what, _number(c.ours, ",.1f"), _number(c.other, ",.1f"), c.unit, _number(c.ratio, ".3f"))
             for c in comparisons]  # fmt: skip
    print(format_table(("what", "ours", "other", "unit", "ours / other"), cells, align="<>><>"))


def recipe(experiment: str, primary: str) -> DictConfig:
    """The checked config of `experiment`, with what the command line sets, on the data of the config `primary`.

    "benchmark" draws images; "train" takes those of the experiment.
    """
    ours = {entry.name for entry in fields(BenchmarkConfig)} - {entry.name for entry in fields(TrainConfig)}
    overrides = [text for text in HydraConfig.get().overrides.task if key_of(text) not in ours]
    name = f"experiment={experiment}" if primary == "train" else f"+experiment={experiment}"
    config = compose(primary, [*overrides, name])
    check(config, schema=BenchmarkConfig)
    return config


def summarise_rounds(what: str, unit: str, rounds: list[tuple[float, float]]) -> Comparison:
    """`rounds` holds (ours, other) of each round."""
    ours, other = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(mine / its for mine, its in rounds)
    return Comparison(what, ours, other, unit, ratio, len(rounds))


def summarise_trainings(experiment: str, runs: list[tuple[float, float]]) -> Comparison:
    """`runs` holds (minutes, accuracy on the test set) of each seed."""
    minutes, accuracies = zip(*runs, strict=True)
    lowest, highest = min(accuracies), max(accuracies)
    reached = f"{lowest:.1%}" if len(runs) == 1 else f"{lowest:.1%} .. {highest:.1%}"
    what = f"training to {reached} on the test set, {experiment}, n = {len(runs)}"
    return Comparison(what, statistics.median(minutes), None, "minutes", None, len(runs))


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def main() -> None:
    run_command("benchmark", benchmark)


if __name__ == "__main__":
    main()
