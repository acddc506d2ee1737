"""The end of a run: one checkpoint is evaluated on all images, on the test set for the only time."""

import csv
import math
from dataclasses import asdict
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from src.config import choice
from src.data.split import Splits
from src.results import figures
from src.results.board import Board
from src.results.history import write_history
from src.results.metrics import ClassRow, Metrics, confusion_matrix, measure, per_class
from src.results.run_folder import RunFolder
from src.results.terminal import Terminal
from src.tables import format_table, percent
from src.training.checkpoint import Progress, load_checkpoint
from src.training.evaluation import compute_logits
from src.training.learner import load_trained_state
from src.training.session import Run, diverged

INTERESTING = (
    "seed", "model.width", "model.dropout", "data.batch_size", "data.limit", "data.fold", "optimizer.lr",
    "optimizer.weight_decay", "trainer.epochs", "trainer.label_smoothing",
)  # fmt: skip
TITLES = {"train": "training images as they are", "val": "validation", "test": "test"}


def close_rung(run: Run) -> dict[str, Any]:
    """Evaluates the checkpoint so far on the watched images alone: a search decides by it whether the run goes on."""
    name, content = put_back(run)
    metrics: dict[str, Any] = {"train": None, "val": None, "test": None}
    if run.validation:
        labels = run.validation.labels.cpu()
        metrics["val"] = measure(_logits(run, run.validation.images), labels, run.classes).as_dict()
    return {
        "evaluated": name,
        "evaluated_epoch": content["epoch"],
        "evaluated_step": content["step"],
        "metrics": metrics,
    }


def put_back(run: Run) -> tuple[str, dict[str, Any]]:
    """Gives the network the weights of the best checkpoint, or of the last where none was chosen."""
    name = "best" if run.chooses_checkpoint and run.folder.checkpoint("best").exists() else "last"
    content = load_checkpoint(run.folder.checkpoint(name))
    load_trained_state(run.learner.network, content["model"], run.learner.frozen_name)
    return name, content


def close_run(
    run: Run, progress: Progress, splits: Splits, inputs: Splits, config: DictConfig, board: Board, terminal: Terminal
) -> dict[str, Any]:
    """Evaluates the best checkpoint, or the last where none was chosen, and writes everything that follows from it.

    `inputs` is what the network takes: `splits` itself, or the features of its images.
    """
    folder = run.folder
    name, content = put_back(run)
    terminal.say(f"\nevaluating the {name} checkpoint on {run.closing_images:,} images ...")
    parts = {"train": inputs.train, "test": inputs.test} | ({"val": inputs.validation} if inputs.validation else {})
    logits = {part: _logits(run, data.images) for part, data in parts.items()}
    metrics = {part: measure(logits[part], data.labels, splits.classes) for part, data in parts.items()}
    if config.data.validation == "test":
        metrics["val"] = metrics["test"]
    mirrored = {}
    if run.settings.both_sides:  # test-time augmentation: the mean of the logits of each image and of its mirror
        for part in parts.keys() - {"train"}:
            both = (logits[part] + _logits(run, parts[part].images.flip(-1))) / 2
            mirrored[part] = measure(both, parts[part].labels, splits.classes)
    if not all(math.isfinite(part.loss) for part in metrics.values()):
        raise diverged(run.learner, progress)

    for row in progress.history:
        is_its_row = row["epoch"] == content["epoch"] and content["batch"] == 0  # not of weights from within an epoch
        row["clean_train_top1"] = metrics["train"].top1 if is_its_row else None
    write_history(folder.history, progress.history)
    torch.save({"logits": logits["test"].clone(), "labels": splits.test.labels}, folder.test_logits)
    confusion = confusion_matrix(logits["test"].argmax(dim=1), splits.test.labels, len(splits.classes.names))
    write_per_class(folder, per_class(confusion, splits.classes))
    pictures = draw_figures(progress, splits, confusion, config.data.validation)
    for stem, figure in pictures.items():
        figures.save(figure, folder.figures / f"{stem}.png")
    numbers = {f"final/{part}_{key}": value for part, m in metrics.items()
               for key, value in (("top1", m.top1), ("loss", m.loss))}  # fmt: skip
    board.closing(settings_of_interest(config), numbers, pictures["confusion_matrix"], progress.epoch)
    different = {part: m for part, m in metrics.items() if part != "val" or inputs.validation}  # else it is the test
    terminal.say(f"{name} checkpoint (epoch {content['epoch']}):\n\n{metrics_table(different, mirrored)}")
    return {
        "evaluated": name,
        "evaluated_epoch": content["epoch"],
        "evaluated_step": content["step"],
        "metrics": {part: metrics[part].as_dict() if part in metrics else None for part in ("train", "val", "test")},
        "both_sides": {part: m.as_dict() for part, m in mirrored.items()} or None,
    }


def metrics_table(metrics: dict[str, Metrics], both_sides: dict[str, Metrics] | None = None) -> str:
    """One row per part of the data, in the order train, val, test; `both_sides` are shown in a column of their own."""
    header, align = ["images", "number", "loss", "top1", "top5", "superclass"], "<>>>>>"
    rows = [
        [TITLES[part], f"{m.images:,}", f"{m.loss:.4f}", percent(m.top1), percent(m.top5), percent(m.superclass)]
        for part in TITLES
        if (m := metrics.get(part))
    ]
    if both_sides:
        header, align = [*header, "top1, both sides"], f"{align}>"
        known = (both_sides.get(part) for part in TITLES if metrics.get(part))
        rows = [[*row, percent(m.top1) if m else "-"] for row, m in zip(rows, known, strict=True)]
    return format_table(header, rows, align)


def draw_figures(progress: Progress, splits: Splits, confusion: Tensor, validation: str) -> dict[str, Any]:
    """The run's pictures by file stem; no curves where not one epoch was completed."""
    watched = "test set" if validation == "test" else "validation"
    pictures = {
        "samples": figures.samples(splits.train, splits.classes),
        "confusion_matrix": figures.confusion(confusion, splits.classes),
    }
    if progress.history:
        pictures["accuracy"] = figures.curves(progress.history, "top1", "accuracy", watched)
        pictures["loss"] = figures.curves(progress.history, "loss", "loss", watched)
    return pictures


def write_per_class(folder: RunFolder, rows: list[ClassRow]) -> None:
    with folder.per_class.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def settings_of_interest(config: DictConfig) -> dict[str, Any]:
    """The columns of TensorBoard's hparams table: few, or nobody finds the one that differs."""
    settings = {group: choice(config, group) for group in ("model", "data", "augmentation", "optimizer", "scheduler")}
    for name in INTERESTING:
        value = OmegaConf.select(config, name)
        if value is not None:
            settings[name] = value
    return settings


def _logits(run: Run, images: Tensor) -> Tensor:
    """(N, num_classes), on the CPU. All was saved at the end of training: interrupted, this is simply done again."""
    learner = run.learner
    return compute_logits(learner.model, images, learner.preprocess, learner.placement, run.stop.raise_if_asked).cpu()
