"""Evaluates runs on their own data: `python -m src.evaluate run=outputs/<run>`; see `--help`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from src.cli import run_command
from src.errors import require, require_choice

if TYPE_CHECKING:  # slow to import
    from src.training.evaluation import EvaluatedRun

SPLITS = ("test", "val", "train")


def evaluate(config: DictConfig) -> None:
    """Prints the metrics of a checkpoint on one part of the data; of several runs, one row each, and their ensemble."""
    require_choice("split", config.split, SPLITS)
    require_choice("format", config.format, ("table", "json"))
    names = name_runs(config)

    from src.training.evaluation import evaluate_ensemble, evaluate_saved_run

    runs = [evaluate_saved_run(name, config) for name in names]
    if config.ensemble:
        runs.append(evaluate_ensemble(runs))
    if config.format == "json":
        print_json(runs if config.runs else runs[0], config.split)
    elif config.runs:
        print_rows(runs, config.split)
    else:
        print_run(runs[0], config.split)


def name_runs(config: DictConfig) -> list[str]:
    """The folders that `run` or `runs` names. Raises UserError where there is none."""
    require(bool(config.run) != bool(config.runs), "name a run, as in run=outputs/<run>, or several: runs=[...,...]")
    runs = list(config.runs) if isinstance(config.runs, ListConfig) else [config.runs or config.run]
    require(all(isinstance(run, str) for run in runs), f"runs={config.runs} must be a list of folders of runs")
    require(not config.ensemble or len(runs) > 1, "ensemble=true averages several runs: runs=[outputs/a,outputs/b]")
    return runs


def print_json(runs: "EvaluatedRun | Sequence[EvaluatedRun]", split: str) -> None:
    described = [_describe(run, split) for run in runs] if isinstance(runs, Sequence) else _describe(runs, split)
    print(json.dumps(described, indent=2, allow_nan=False))


def _describe(run: "EvaluatedRun", split: str) -> dict[str, Any]:
    flipped, calibrated = (part and asdict(part) for part in (run.tta_flip, run.calibrated))
    described = {"run": run.name, "checkpoint": run.checkpoint, "epoch": run.epoch, "split": split}
    return {**described, **asdict(run.metrics), "tta_flip": flipped, "calibrated": calibrated}


def print_run(run: "EvaluatedRun", split: str) -> None:
    """The metrics, their calibration, and the run's own number where it has one."""
    from src.formatting import percent
    from src.training.final_eval import describe_calibration, metrics_table

    print(f"{run.name}, {run.checkpoint} checkpoint (epoch {run.epoch})\n")
    print(metrics_table({split: run.metrics}, {split: run.tta_flip} if run.tta_flip else None))
    print(f"\n{reliability_table(run)}")
    if run.calibrated:
        print(f"\n{describe_calibration(run.temperature, run.calibrated, run.metrics)}")
    if run.own_top1 is not None:
        differs = f"which differs by {run.metrics.top1 - run.own_top1:+.4f}: another device?"
        verdict = "the same" if run.own_top1 == run.metrics.top1 else differs
        print(f"\nthe run's own top1: {percent(run.own_top1)}, {verdict}")


def reliability_table(run: "EvaluatedRun") -> str:
    """Confidence and accuracy of the images in each bin that has any."""
    from src.formatting import format_table, percent

    bins = run.reliability
    rows = [
        (f"{int(images):,}", percent(confidence), percent(accuracy), f"{100 * (accuracy - confidence):+.1f}")
        for images, confidence, accuracy in zip(*(part.tolist() for part in bins), strict=True)
        if images
    ]
    return format_table(("images", "confidence", "accuracy", "points"), rows, ">>>>")


def print_rows(runs: "Sequence[EvaluatedRun]", split: str) -> None:
    """One row per run, the ensemble last."""
    from src.formatting import format_table, percent

    header = ["run", f"{split} top1", "top5", "loss", "ECE"]
    rows = [[run.name, percent(run.metrics.top1), percent(run.metrics.top5), f"{run.metrics.loss:.4f}",
             percent(run.metrics.ece)] for run in runs]  # fmt: skip
    if any(run.tta_flip for run in runs):
        header.append("top1, tta_flip")
        rows = [[*row, percent(run.tta_flip and run.tta_flip.top1)] for row, run in zip(rows, runs, strict=True)]
    print(format_table(header, rows, "<" + ">" * (len(header) - 1)))


def main() -> None:
    run_command("evaluate", evaluate)


if __name__ == "__main__":
    main()
