"""Measures training and augmentation on this machine: `python -m src.benchmark`; see `--help`.

Machines are noisy and differ: only ratios count, of two sides that take turns in one process.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.commandline import experiments, run_command
from src.config import check
from src.errors import require, require_choice
from src.overrides import key_of
from src.schemas import GROUPS, BenchmarkConfig, TrainConfig
from src.tables import format_table

if TYPE_CHECKING:
    from src.training.benchmarks import Comparison, Training

COMPARED = ("affine", "crop_flip")  # the augmentations that torchvision has too, image by image


def benchmark(config: DictConfig) -> None:
    """Prints one row per loop, per pipeline, per augmentation and per training."""
    require_choice("format", config.format, ("table", "json"))
    require(config.rounds >= 1, f"rounds={config.rounds} must be at least 1")
    require(config.seconds > 0, f"seconds={config.seconds} must be above 0")
    require(bool(config.seeds) or not config.trainings, "seeds=[] leaves nothing to train with; leave it out for one")
    for name in config.augmentations:
        require_choice("augmentations", name, COMPARED)
    groups = ("loops", "pipelines", "trainings")
    for group in groups:
        for name in config[group]:
            require_choice(group, name, experiments())
    require(any(config[group] for group in (*groups, "augmentations")), "all lists are empty: nothing to measure")

    tasks, rows = planned(config), []
    try:
        for number, task in enumerate(tasks, 1):
            rows.append(task())
            print(f"{number} of {len(tasks)} measured: {rows[-1].what}", file=sys.stderr, flush=True)
    finally:  # what was measured before a failure is not lost
        print(as_json(rows) if config.format == "json" else as_table(rows, config.rounds))


def planned(config: DictConfig) -> list[Callable[[], "Comparison | Training"]]:
    """One task for each row; all configs are composed and checked before the first begins."""
    from src.training.benchmarks import compare_augmentation, compare_loop, compare_pipeline, measure_trainings

    tasks = [partial(compare_loop, recipe("benchmark", name), name) for name in config.loops]
    tasks += [partial(compare_pipeline, recipe("benchmark", name), name) for name in config.pipelines]
    if config.augmentations:
        check(config, schema=BenchmarkConfig)
    tasks += [partial(compare_augmentation, config, name) for name in config.augmentations]
    for name in config.trainings:
        runs = [recipe("train", name, f"seed={seed}", "data.validation=none") for seed in config.seeds]
        tasks.append(partial(measure_trainings, runs, name))
    return tasks


def recipe(primary: str, experiment: str, *others: str) -> DictConfig:
    """The checked config of `experiment`, with what the command line sets, on the data of the config `primary`.

    "benchmark" draws images; "train" takes those of the experiment.
    """
    overrides = list(HydraConfig.get().overrides.task)
    if primary == "train":
        known = {entry.name for entry in fields(TrainConfig)} | set(GROUPS)
        overrides = [text for text in overrides if key_of(text).partition(".")[0] in known]
        config = compose(primary, [*overrides, f"experiment={experiment}", *others])
    else:
        config = compose(primary, [*overrides, f"+experiment={experiment}", *others])
    check(config, schema=BenchmarkConfig)
    require(not config.init.freeze, f"{experiment} trains a head on another run, which is not measured here")
    for key, value in (("trainer.max_minutes", config.trainer.max_minutes), ("resume", config.resume),
                       ("pause_at", config.pause_at)):  # fmt: skip
        require(value is None, f"{key}={value} would cut short what is measured; leave it out")
    require(
        primary == "train" or (config.trainer.accumulate == 1 and config.trainer.clip_norm is None),
        "trainer.accumulate and trainer.clip_norm are measured on one side only; leave them out",
    )
    return config


def as_json(rows: "Sequence[Comparison | Training]") -> str:
    return json.dumps({"rows": [row.as_dict() for row in rows]}, indent=2)


def as_table(rows: "Sequence[Comparison | Training]", rounds: int) -> str:
    header = ("what", "ours", "other", "unit", "ours / other", "on")
    table = format_table(header, [row.cells() for row in rows], align="<>><><")
    return f"medians: of the rounds ({rounds}), of the seeds of a training\n\n{table}"


def main() -> None:
    run_command("benchmark", benchmark)


if __name__ == "__main__":
    main()
