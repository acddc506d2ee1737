"""Curves of settings for TensorBoard: the mean over seeds and folds with its 95 % interval, one run per setting.

TensorBoard has no bands over several runs (tensorflow/tensorboard#376), so they are written as curves of their own.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from src.analysis.compare import Comparison, describe, short_names
from src.analysis.document import to_markdown
from src.analysis.runs import RunRecord, drop_repeats
from src.analysis.stats import Spread, compute_spread
from src.analysis.sweep_table import EVENTS_SUFFIX, sweep_blocks

FOLDER = "settings"  # in the folder of a sweep
MAX_NAME = 120  # characters of the name of a curve
CURVES = {  # tag of the mean -> column of history.csv; the tags of a run's own curves, so that one chart holds both
    "accuracy/val": "val_top1",
    "accuracy/train": "train_top1",
    "loss/val": "val_loss",
    "loss/train": "train_loss",
}
INTERVALS = {  # tag of the mean -> tags of the ends of its interval
    "accuracy/val": ("interval/val_accuracy_low", "interval/val_accuracy_high"),
    "loss/val": ("interval/val_loss_low", "interval/val_loss_high"),
}
LAYOUT = {
    "mean over seeds, 95 % interval": {
        title: ["Margin", [tag, *ends]]
        for title, (tag, ends) in zip(("validation accuracy", "validation loss"), INTERVALS.items(), strict=True)
    }
}


def write_setting_curves(comparison: Comparison, folder: Path) -> None:
    """Writes one TensorBoard run for each setting into `folder`/settings, in place of older ones, and a page on all.

    The page is the sweep's table and a picture of the settings with their intervals.
    """
    from torch.utils.tensorboard import SummaryWriter  # these import torch

    from src.analysis.headline import show_picture

    for events in folder.glob(f"{FOLDER}/**/events.out.tfevents.*{EVENTS_SUFFIX}"):
        events.unlink()
    rows = {name: row for name, row in zip(short_names(comparison), comparison.rows, strict=True) if row.spread}
    if comparison.columns and rows:
        with SummaryWriter(str(folder / FOLDER), filename_suffix=EVENTS_SUFFIX) as writer:
            writer.add_text("sweep", to_markdown(sweep_blocks(comparison)))
            writer.add_figure("settings", show_picture(rows, comparison.metric).figure)
    for row, name in zip(comparison.rows, curve_names(comparison), strict=True):
        measured = drop_repeats(row.records, comparison.metric) or drop_repeats(row.records)
        runs = [record for record in measured if record.history]
        if not comparison.columns or not runs:
            continue
        with SummaryWriter(str(folder / FOLDER / name), filename_suffix=EVENTS_SUFFIX) as writer:
            writer.add_custom_scalars(LAYOUT)
            for tag, column in CURVES.items():
                for epoch, spread in enumerate(mean_curve(runs, column), 1):
                    writer.add_scalar(tag, spread.mean, epoch)
                    if spread.low is not None and tag in INTERVALS:
                        for end, value in zip(INTERVALS[tag], (spread.low, spread.high), strict=True):
                            writer.add_scalar(end, value, epoch)


def curve_names(comparison: Comparison) -> list[str]:
    """The name of each row as a folder; where it was shortened, or is that of another row, it ends in a number."""
    names: list[str] = []
    for number, row in enumerate(comparison.rows, 1):
        name = re.sub(r"[^\w.+=\[\], -]+", "-", describe(row))
        is_own = len(name) <= MAX_NAME and name not in names
        names.append(name if is_own else f"{name[: MAX_NAME - 5]} {number}")
    return names


def mean_curve(runs: Sequence[RunRecord], column: str) -> list[Spread]:
    """The spread over the runs after each epoch that all of them have completed; empty where a value is missing."""
    epochs = zip(*([row.get(column) for row in run.history] for run in runs), strict=False)
    values = [list(epoch) for epoch in epochs]
    if any(value is None for epoch in values for value in epoch):
        return []
    return [compute_spread(epoch) for epoch in values]
