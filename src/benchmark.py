"""Measures training and augmentation on this machine: `python -m src.benchmark`; see `--help`.

Machines are noisy and differ: only ratios count, of two sides that take turns in one process.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.choices import choices
from src.cli import run_command
from src.config import RunConfig
from src.errors import require, require_choice
from src.formatting import format_table
from src.overrides import key_of
from src.parsing import parse_config
from src.schemas import BenchmarkConfig

if TYPE_CHECKING:
    from src.benchmarks.comparisons import Comparison, Training

OWN_SETTINGS = tuple(entry.name for entry in fields(BenchmarkConfig) if entry not in fields(RunConfig))


def benchmark(config: DictConfig) -> None:
    """Prints one row per loop, pipeline, augmentation and training."""
    check_settings(config)
    tasks, rows = plan_tasks(config), []
    try:
        for number, task in enumerate(tasks, 1):
            rows.append(task())
            print(f"{number} of {len(tasks)} measured: {rows[-1].what}", file=sys.stderr, flush=True)
    finally:  # what was measured before a failure is not lost
        print(to_json(rows) if config.format == "json" else to_table(rows, config.rounds))


def check_settings(config: DictConfig) -> None:
    """Raises UserError for a setting of the benchmark itself that cannot be meant."""
    require_choice("format", config.format, ("table", "json"))
    require(config.rounds >= 1, f"rounds={config.rounds} must be at least 1")
    require(0 < config.seconds < math.inf, f"seconds={config.seconds} must be above 0")
    require(bool(config.seeds) or not config.trainings, "seeds=[] trains nothing; leave it out for seeds=[0]")
    require(min(config.seeds, default=0) >= 0, f"seeds={list(config.seeds)} must not hold a number below 0")
    valid = dict.fromkeys(("loops", "pipelines", "trainings"), choices("experiment"))
    # those that torchvision has too
    valid["augmentations"] = ["affine", "crop_flip", "trivial_augment", "rand_augment"]
    for group, names in valid.items():
        for name in config[group]:
            require_choice(group, name, names)
    require(any(config[group] for group in valid), "all lists are empty: nothing to measure")


def plan_tasks(config: DictConfig) -> "list[Callable[[], Comparison | Training]]":
    """One task for each row; all configs are composed and checked before the first task begins."""
    from src.benchmarks import comparisons  # imports torch

    rounds, seconds = config.rounds, config.seconds
    tasks = [partial(comparisons.compare_loop, compose_speed_run(name), name, rounds, seconds) for name in config.loops]
    tasks += [
        partial(comparisons.compare_arithmetic, compose_speed_run(name), name, rounds, seconds) for name in config.loops
    ]
    for name in config.pipelines:
        tasks.append(partial(comparisons.compare_pipeline, compose_speed_run(name), name, rounds, seconds))
    for name in config.augmentations:  # with their own settings, whatever the command line says of them
        run = _compose("benchmark", f"augmentation={name}", left_out=("augmentation", "data.augment"))
        tasks.append(partial(comparisons.compare_augmentation, run, name, rounds, seconds / 5))
    for name in config.trainings:  # on all training images of their own data sets
        added = (f"experiment={name}", "data.validation=none")
        runs = [_compose("train", *added, f"seed={seed}", left_out=OWN_SETTINGS) for seed in config.seeds]
        tasks.append(partial(comparisons.measure_trainings, runs, name))
    return tasks


def compose_speed_run(experiment: str) -> RunConfig:
    """The experiment with the command line's settings, on the synthetic images of conf/benchmark.yaml."""
    config = _compose("benchmark", f"+experiment={experiment}")
    trainer = config.trainer
    is_plain = trainer.grad_accumulation_steps == 1 and trainer.grad_clip_norm is None
    is_plain = is_plain and trainer.sam_rho is None and trainer.ema_decay is None and trainer.swa_start is None
    problem = (
        "trainer.grad_accumulation_steps, grad_clip_norm, sam_rho, ema_decay and swa_start change one side only; leave "
        "them out"
    )
    require(is_plain, problem)
    return config


def _compose(name: str, *added: str, left_out: tuple[str, ...] = ()) -> RunConfig:
    """conf/<name>.yaml with the command line's overrides, without those of keys that begin as in `left_out`."""
    overrides = [text for text in HydraConfig.get().overrides.task if not key_of(text).startswith(left_out)]
    config = parse_config(compose(name, [*overrides, *added]), [*overrides, *added])
    freeze, minutes = config.init.freeze, config.trainer.max_minutes
    require(freeze is None, f"init.freeze={freeze} trains a head on another run, which is not measured here")
    require(minutes is None, f"trainer.max_minutes={minutes} would end early what is measured; leave it out")
    return config


def to_json(rows: "Sequence[Comparison | Training]") -> str:
    return json.dumps({"rows": [row.as_dict() for row in rows]}, indent=2)


def to_table(rows: "Sequence[Comparison | Training]", rounds: int) -> str:
    header = ("what", "cifarlab", "other", "unit", "cifarlab / other", "on")
    table = format_table(header, [row.cells() for row in rows], align="<>><><")
    return f"medians: of the rounds ({rounds}), of the seeds of a training\n\n{table}"


def main() -> None:
    run_command("benchmark", benchmark)


if __name__ == "__main__":
    main()
