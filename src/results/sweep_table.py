"""The table at the end of a sweep: printed, as sweep.csv and sweep.md, and in TensorBoard."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from src.results.comparison import Comparison, SettingRow, described, shown
from src.results.run_folder import write_text
from src.tables import duration, format_markdown, format_table

FRACTIONS = ("top1", "top5", "superclass")


def sweep_text(comparison: Comparison) -> str:
    """The table for a terminal, what is to be said of it, and the runs that are not completed."""
    header, rows, align = cells(comparison)
    parts = [format_table(header, rows, align), *notes(comparison)]
    if comparison.unfinished:
        parts.append(format_table(*unfinished(comparison)))
    return "\n\n".join(parts)


def sweep_markdown(comparison: Comparison) -> str:
    header, rows, align = cells(comparison)
    parts = [format_markdown(header, rows, align), *notes(comparison)]
    if comparison.unfinished:
        parts.append(format_markdown(*unfinished(comparison)))
    return "\n\n".join(parts) + "\n"


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
        folders = " ".join(record.folder.path.name for record in row.records)
        writer.writerow(
            [*map(shown, row.settings.values()), comparison.metric, *numbers, row.epochs, row.seconds, row.status,
             reasons, folders]
        )  # fmt: skip
    return text.getvalue()


def write_sweep(comparison: Comparison, folder: Path) -> None:
    """sweep.csv and sweep.md in `folder`, and the same table as a text of TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter  # imports torch: not before it is needed

    write_text(folder / "sweep.csv", sweep_csv(comparison))
    write_text(folder / "sweep.md", sweep_markdown(comparison))
    for events in folder.glob("events.out.tfevents.*"):
        events.unlink()  # the table of before; those of the runs lie in their own folders
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("sweep", sweep_markdown(comparison))


def search_lines(comparison: Comparison) -> str:
    """The best candidate, then mean (standard deviation) and parameters of each."""
    finished = [row for row in comparison.rows if row.spread]
    if not finished:
        return "no candidate has been validated yet"
    lines = [f"best: {_digits(finished[0])} with {described(finished[0])}", ""]
    lines += [f"{_digits(row)} with {described(row)}{f' ({row.rung})' if row.rung else ''}" for row in finished]
    return "\n".join(lines)


def cells(comparison: Comparison) -> tuple[list[str], list[list[str]], str]:
    """Header, rows and alignment."""
    halved = any(row.rung for row in comparison.rows)
    name = comparison.metric.removeprefix("metrics.").replace(".", " ")
    header = [*comparison.columns, name, "std", "95 % interval", "n", "epochs", "time", *(["stopped at"] * halved)]
    rows = []
    for row in comparison.rows:
        line = [*map(shown, row.settings.values()), *_numbers(row, comparison.metric)]
        line += [f"{row.epochs:g}", duration(row.seconds) if row.seconds else "-", *([row.rung] * halved)]
        rows.append([*line, row.status])
    align = "<" * len(comparison.columns) + ">>>>>>" + "<" * halved + "<"
    return [*header, "status"], rows, align


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know before believing the table."""
    found = []
    records = comparison.records
    if any(row.rung for row in comparison.rows):
        found.append(cost_of_halving(comparison))
    if any(row.seen_by_base for row in comparison.rows):
        count = sum(bool(record.metric("data.seen_by_base")) for record in records)
        found.append(
            f"! In {count} of {len(records)} runs the base (init.run) had been trained on images that validate here: "
            "these accuracies are inflated. init.images=held_out uses only images that the base has not seen."
        )
    watched = sum(record.settings.get("data.validation") == "test" for record in records)
    if watched and ".val." in comparison.metric:
        found.append(
            f"In {watched} of {len(records)} runs val is the TEST set (data.validation=test, the report's protocol): "
            "nothing may be chosen by it."
        )
    return found


def cost_of_halving(comparison: Comparison) -> str:
    """Epochs and time of the search beside those of training every run to its end."""
    records = [record for record in comparison.records if record.result.get("rungs")]
    trained = sum(record.epochs for record in records)
    full = sum(record.settings["trainer.epochs"] for record in records)
    seconds = sum(record.seconds for record in records)
    estimate = sum(record.seconds / record.epochs * record.settings["trainer.epochs"] for record in records)
    return (
        f"The search trained {trained:,} epochs of the {full:,} that all {len(records)} runs would have taken to their "
        f"ends ({trained / full:.0%}), in {duration(seconds)} instead of about {duration(estimate)}."
    )


def unfinished(comparison: Comparison) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Header and rows of the runs that have not come to their end."""
    rows = [(r.folder.path.name, r.status, r.reason or "-") for r in comparison.unfinished]
    return ("not completed", "status", "reason"), rows


def _numbers(row: SettingRow, metric: str) -> list[str]:
    if row.spread is None:
        return ["-", "-", "-", "0"]
    s = row.spread
    mark = " !" if row.seen_by_base else ""
    if metric.rpartition(".")[2] not in FRACTIONS:
        margin = "-" if s.margin is None else f"{s.low:.4g} .. {s.high:.4g}"
        return [f"{s.mean:.4g}{mark}", "-" if s.std is None else f"{s.std:.2g}", margin, str(s.n)]
    margin = "-" if s.margin is None else f"{100 * s.low:.2f} .. {100 * s.high:.2f} %"
    return [f"{100 * s.mean:.2f} %{mark}", "-" if s.std is None else f"{100 * s.std:.2f}", margin, str(s.n)]


def _digits(row: SettingRow) -> str:
    std = "-" if row.spread.std is None else f"{row.spread.std:.6f}"
    return f"{row.spread.mean:.6f} ({std})"
