"""The sections of a report that any runs have: curves, overfitting, mistakes, commands."""

from collections.abc import Sequence
from typing import NamedTuple

from src.analysis import plots
from src.analysis.compare import TEST_ACCURACY, Comparison, measure_gap, measure_spread, short_names
from src.analysis.document import Block, Commands, Heading, Picture, PictureFile, Table
from src.analysis.runs import Rows, RunRecord, device_of, drop_repeats, unreadable
from src.errors import UserError
from src.formatting import count, duration, percent
from src.loggers.logger import Row
from src.metrics import confusion_matrix, most_confused, per_class
from src.plots import plot_confusion
from src.predictions import Predictions, load_predictions
from src.result import Status

EPOCH, MINUTES = "epoch", "minutes of training and validation"
CURVES = (  # name of the picture, column of history.csv, what it holds, x axis
    ("curves_top1", "val_top1", "validation accuracy", EPOCH),
    ("curves_minutes", "val_top1", "validation accuracy", MINUTES),
    ("curves_loss", "val_loss", "validation loss", EPOCH),
)


class BestRun(NamedTuple):
    """A run with its logits on the test set."""

    record: RunRecord
    predictions: Predictions


def check_logits(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The records; one whose logits cannot be read becomes unreadable."""
    checked = []
    for record in records:
        try:
            for file in (record.run_dir.test_logits_file, record.run_dir.val_logits_file):
                if file.exists():
                    load_predictions(file)
            checked.append(record)
        except UserError as error:
            checked.append(unreadable(record.run_dir, error))
    return checked


def load_best_run(comparison: Comparison) -> BestRun | None:
    """The best run of the best setting; None where no run was evaluated on the test set."""
    best_of = max if comparison.direction == "maximize" else min
    for row in comparison.rows:
        measured = [record for record in row.records if record.has_measured(comparison.metric)]
        measured = [record for record in measured if record.run_dir.test_logits_file.exists()]
        if measured:
            best = best_of(measured, key=lambda record: record.metric(comparison.metric))
            return BestRun(best, load_predictions(best.run_dir.test_logits_file))
    return None


def name_rows(comparison: Comparison) -> Rows:
    """The independent runs of each setting in which the metric was measured, by a short name."""
    named = zip(short_names(comparison), comparison.rows, strict=True)
    return {name: drop_repeats(row.records, comparison.metric) for name, row in named if row.spread}


def describe_runs(records: Sequence[RunRecord]) -> str:
    """How many runs there are, their time and devices, and how the intervals are computed."""
    completed = [record for record in records if record.status == Status.COMPLETED]
    devices = "; ".join(sorted({device_of(record) for record in completed}))
    time = duration(sum(record.seconds for record in records))
    text = f"{count(len(records), 'run')}, {len(completed)} of them completed, {time} of training in all, on {devices}."
    if any(record.settings["data.validation"] == "test" for record in records):
        text += (
            " Where data.validation=test, the validation images are the test set and the last epoch is evaluated: no"
            " epoch was chosen by them, and no setting should be."
        )
    return f"{text} Intervals are Student's 95 % intervals of the mean."


def show_curves(rows: Rows) -> list[Block]:
    """Validation accuracy over epochs and over minutes, and validation loss, of the histories without empty cells."""
    blocks: list[Block] = [Heading("Curves")]
    for name, column, title, xlabel in CURVES:
        curves = {row: [[(_x(line, xlabel), line[column]) for line in record.history] for record in _validated(records)]
                  for row, records in rows.items()}  # fmt: skip
        figure = plots.plot_setting_curves(curves, xlabel, title, from_zero=column == "val_top1")
        caption = f"{title.capitalize()} against {xlabel}: the mean over the runs of each row, and their range."
        blocks.append(Picture(name, caption, figure))
    return blocks


def _x(line: Row, xlabel: str) -> float:
    return line["epoch"] if xlabel == EPOCH else line["seconds"] / 60


def show_overfitting(rows: Rows) -> list[Block]:
    """Training accuracy beside validation accuracy, and the epoch from which the validation loss rises."""
    lines, accuracies = [], {}
    for name, records in rows.items():
        parts = [measure_spread(records, f"metrics.{part}.top1") for part in ("train", "val")]
        accuracies[name] = tuple(part.mean if part else None for part in parts)
        gap = measure_gap(records)
        if gap:
            lowest = [min(record.history, key=lambda row: row["val_loss"])["epoch"] for record in _validated(records)]
            margin = "-" if gap.margin is None else f"± {100 * gap.margin:.2f}"
            epochs = ", ".join(map(str, lowest)) or "-"
            lines.append((name, *map(percent, accuracies[name]), f"{100 * gap.mean:.2f}", margin, epochs))
    header = ("row", "training", "validation", "gap, points", "95 %", "epoch of the lowest validation loss")
    return [
        Heading("Overfitting"),
        "Accuracy on training images, without augmentation and dropout, minus that on validation images.",
        Table(header, lines, "<>>>><"),
        Picture("gap", "Mean accuracy on training images and on validation images.", plots.plot_gaps(accuracies)),
    ]


def show_mistakes(best: BestRun | None) -> list[Block]:
    """The confusion matrix of the best run, its hardest classes, and the pairs of classes that it confuses most."""
    if best is None:
        return []
    logits, labels, classes = best.predictions
    names = [name.replace("_", " ") for name in classes.names]
    matrix = confusion_matrix(logits.argmax(dim=1), labels, len(names))
    hardest = []
    for row in per_class(matrix, classes)[:10]:
        taken_for = f"{row.most_confused_with} ({percent(row.confused_share)})"
        cells = (row.name, row.superclass, percent(row.recall), taken_for)
        hardest.append([cell.replace("_", " ") for cell in cells])
    pairs = most_confused(matrix)[:10]
    counts = [(names[i], names[j], str(int(matrix[i, j])), str(int(matrix[j, i]))) for i, j in pairs]
    picture = best.record.run_dir.figures_dir / "mistakes.png"
    mistakes = [PictureFile("mistakes", "The most confident mistakes: true and predicted class.", picture)]
    return [
        Heading("Mistakes of the best run"),
        f"{best.record.run_dir.path}: {percent(best.record.metric(TEST_ACCURACY))} on the test set.",
        *(mistakes if picture.exists() else []),
        Picture("confusion_matrix", "Confusion matrix of the test images.", plot_confusion(matrix, classes)),
        "The classes with the lowest recall:",
        Table(("class", "superclass", "recall", "most often taken for"), hardest, "<<><"),
        "The pairs of classes most often confused:",
        Table(("one", "other", "one taken for other", "other taken for one"), counts, "<<>>"),
    ]


def show_commands(records: Sequence[RunRecord]) -> list[Block]:
    """The command lines of the runs, each once."""
    lines = list(dict.fromkeys(line for record in records for line in record.result.get("commands", [])))
    return [Heading("Commands that trained these runs"), Commands(lines)]


def _validated(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs that were validated after every epoch."""
    return [r for r in records if r.history and all(row["val_loss"] is not None for row in r.history)]
