"""The table at the end of a sweep: printed, as sweep.csv and sweep.md, and in TensorBoard."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from src.analysis.compare import (
    Comparison,
    Scale,
    SettingRow,
    count_repeats,
    format_value,
    name_metric,
)
from src.analysis.document import Table, to_markdown, to_text
from src.analysis.runs import RunRecord
from src.analysis.stats import format_spread
from src.analysis.winner import choose_winner
from src.files import write_text
from src.formatting import duration

EVENTS_SUFFIX = ".sweep"  # of the table's TensorBoard file: no other event file is replaced


def sweep_text(comparison: Comparison) -> str:
    """For a terminal: the table, notes on it, and the runs that are not completed."""
    return to_text(sweep_blocks(comparison))


def write_sweep(comparison: Comparison, folder: Path) -> None:
    """Writes sweep.csv and sweep.md into `folder`, and the table as a TensorBoard text in place of an older one."""
    from torch.utils.tensorboard import SummaryWriter  # imports torch

    winner = choose_winner(comparison)
    markdown = to_markdown([*sweep_blocks(comparison), *([winner.text] if winner else [])])
    write_text(folder / "sweep.csv", sweep_csv(comparison))
    write_text(folder / "sweep.md", markdown)
    for events in folder.glob(f"events.out.tfevents.*{EVENTS_SUFFIX}"):
        events.unlink()
    with SummaryWriter(str(folder), filename_suffix=EVENTS_SUFFIX) as writer:
        writer.add_text("sweep", markdown)


def sweep_csv(comparison: Comparison) -> str:
    """Unrounded numbers, one line per setting."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("mean", "std", "margin95", "n", "epochs", "seconds", "status", "reason", "runs")
    writer.writerow([*comparison.columns, "metric", *names])
    for row in comparison.rows:
        s = row.spread
        numbers = [s.mean, s.std, s.margin, s.n] if s else [None, None, None, 0]
        reasons = "; ".join(dict.fromkeys(record.reason for record in row.records if record.reason))
        folders = " ".join(record.run_dir.path.name for record in row.records)
        cells = [*map(format_value, row.settings.values()), comparison.metric, *numbers]
        writer.writerow([*cells, row.epochs, row.seconds, row.status, reasons, folders])
    for record in comparison.unreadable:
        blanks = [""] * len(comparison.columns)
        facts = [record.status, record.reason, record.run_dir.path.name]
        writer.writerow([*blanks, comparison.metric, "", "", "", 0, "", "", *facts])
    return text.getvalue()


def sweep_blocks(comparison: Comparison) -> list[Table | str]:
    """The table, notes on it, and the runs that are not completed."""
    unfinished = [
        (record.run_dir.path.name, record.status, record.reason or "-")
        for record in [*comparison.unfinished, *comparison.unreadable]
    ]
    table = Table(("not completed", "status", "reason"), unfinished, "<<<")
    return [*setting_blocks(comparison), *([table] if unfinished else [])]


def setting_blocks(comparison: Comparison) -> list[Table | str]:
    """The table, one row per setting, and notes on it."""
    halved = any(row.rung for row in comparison.rows)
    metric = name_metric(comparison.metric)
    repeated = any(row.spread and row.spread.n > 1 for row in comparison.rows)  # else there is no spread to show
    header = [*comparison.columns, metric, *(["std", "95 % interval"] if repeated else []), "n", "epochs", "time"]
    rows = [
        [*map(format_value, row.settings.values()), *_numbers(row, comparison.metric, repeated), f"{row.epochs:g}",
         duration(row.seconds) if row.seconds else "-", *([row.rung] if halved else []), row.status]
        for row in comparison.rows
    ]  # fmt: skip
    align = "<" * len(comparison.columns) + ">" * (6 if repeated else 4) + "<" * (1 + halved)
    table = Table([*header, *(["stopped at"] if halved else []), "status"], rows, align)
    return [table, *_notes(comparison.records, halved, ".val." in comparison.metric)]


def _numbers(row: SettingRow, metric: str, repeated: bool) -> list[str]:
    """Mean, with `repeated` standard deviation and interval, and n as text, in percent where that is meant."""
    scale = Scale.of(metric)
    mean, interval, n = format_spread(row.spread, scale.spec, scale.factor, scale.percent)
    if row.spread and any(record.metric("data.seen_by_base") for record in row.records):
        mean += " !"
    if not repeated:
        return [mean, n]
    if row.spread is None or row.spread.std is None:
        return [mean, "-", interval, n]
    std = f"{scale.factor * row.spread.std:{scale.spec}}" if scale.unit else f"{row.spread.std:.2g}"
    return [mean, std, interval, n]


def _notes(records: Sequence[RunRecord], halved: bool, by_validation: bool) -> list[str]:
    """Sentences that a reader of the table needs."""
    notes = []
    searched = [record for record in records if record.is_searched and record.planned_epochs]
    if halved and searched:
        trained = sum(min(record.epochs, record.planned_epochs) for record in searched)
        full = sum(record.planned_epochs for record in searched)
        seconds = sum(record.seconds for record in searched)
        estimate = sum(record.seconds / record.epochs * record.planned_epochs for record in searched)
        notes.append(
            f"The search trained {trained:,g} epochs, {trained / full:.0%} of the {full:,g} that training all "
            f"{len(searched)} runs to their last epoch takes, in {duration(seconds)} instead of about "
            f"{duration(estimate)}."
        )
    repeats = count_repeats(records)
    if repeats:
        subject, verb = ("1 run repeats", "is") if repeats == 1 else (f"{repeats} runs repeat", "are")
        notes.append(f"{subject} another's settings, seed and fold and {verb} not counted.")
    seen = sum(bool(record.metric("data.seen_by_base")) for record in records)
    if seen:
        notes.append(
            f"! In {seen} of {len(records)} runs the base (init.run) had been trained on images that validate here: "
            "these accuracies are inflated. init.images=held_out uses only images that the base has not seen."
        )
    watched = sum(record.settings["data.validation"] == "test" for record in records)
    if watched and by_validation:
        notes.append(
            f"In {watched} of {len(records)} runs val is the TEST set (data.validation=test): nothing may be chosen "
            "by it."
        )
    return notes
