"""The report on many runs: the course report's rows beside ours, curves, overfitting, claims, searches, mistakes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from src.data.images import Classes
from src.results import figures
from src.results.claims import ACCURACY, Finding, judge, rising
from src.results.comparison import Comparison, brief, compare, measured, shown
from src.results.course_report import CLAIMS, EXPERIMENTS, Claim
from src.results.document import Block, Commands, Heading, Paragraph, Picture, Table
from src.results.metrics import confusion_matrix, per_class
from src.results.records import Record
from src.results.report_figures import gaps, overlaid_curves
from src.results.statistics import Spread, spread
from src.results.sweep_table import cells, notes, search_lines, unfinished
from src.tables import duration, percent

PREFIX = "report/"
OVERFITTING = Claim("Overfitting is the main enemy.", (("deep", 1),), "positive")
GAP = 0.1  # ten points between training and validation count as overfitting


@dataclass(frozen=True)
class BestRun:
    """What the section on mistakes needs of the best run: its logits (N, num_classes) and labels on the test set."""

    record: Record
    logits: Tensor
    labels: Tensor
    classes: Classes


def build_report(records: Sequence[Record], comparison: Comparison, best: BestRun | None) -> list[Block]:
    """All sections for which there are runs."""
    rows, search = report_rows(records), searched(records)
    blocks: list[Block] = [Heading("CIFAR-100 experiments", 1), Paragraph(_opening(records))]
    if rows:
        blocks += _beside_the_report(rows, search)
        blocks += _claims(rows)
    named = rows or {
        name: row.records for name, row in zip(brief(comparison), comparison.rows, strict=True) if row.spread
    }
    blocks += [*_curves(named), *_overfitting(named)]
    blocks += [Heading("All settings"), Table(*cells(comparison)), *map(Paragraph, notes(comparison))]
    if comparison.unfinished:
        blocks.append(Table(*unfinished(comparison), "<<<"))
    blocks += _search(search)
    if best:
        blocks += _mistakes(best)
    return [*blocks, Heading("How to get these figures again"), Commands(commands(records))]


def report_rows(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The completed runs of each of the report's experiments, at the budget that most of them share.

    Of an experiment that was run with several settings, these are the runs of the setting that has most of them.
    """
    found = [record for record in records if record.status == "completed" and _name(record) in EXPERIMENTS]
    found = [record for record in found if _name(record) != "search"]
    budgets: dict[tuple[Any, ...], list[Record]] = {}
    for record in found:
        budgets.setdefault(budget(record), []).append(record)
    if not budgets:
        return {}
    chosen = max(budgets.values(), key=lambda group: (len({_name(r) for r in group}), len(group), budget(group[0])[:2]))
    rows: dict[str, list[Record]] = {}
    for name in EXPERIMENTS:
        settings = compare([record for record in chosen if _name(record) == name]).rows
        if settings:
            rows[name] = list(max(settings, key=lambda row: len(row.records)).records)
    return rows


def searched(records: Sequence[Record]) -> Comparison | None:
    """The candidates of the report's search, best first; None where none has been validated."""
    found = [record for record in records if _name(record) == "search"]
    comparison = compare(found)
    return comparison if comparison.rows and comparison.rows[0].spread else None


def budget(record: Record) -> tuple[int, int, str | None]:
    """(epochs, training images, data set)."""
    return record.settings["trainer.epochs"], record.result["data"]["train_images"], record.choices.get("data")


def commands(records: Sequence[Record]) -> list[str]:
    """The command lines that made the runs, each once."""
    return list(dict.fromkeys(line for record in records for line in record.result.get("commands", [])))


def gap(records: Sequence[Record]) -> Spread | None:
    """Accuracy on clean training images minus that on validation images."""
    pairs = [(record.metric("metrics.train.top1"), record.metric("metrics.val.top1")) for record in records]
    values = [train - val for train, val in pairs if train is not None and val is not None]
    return spread(values) if values else None


def overfitting(rows: Mapping[str, Sequence[Record]]) -> Finding:
    """Whether `deep` knows its training images by far better than others."""
    found = gap(rows.get("deep", ()))
    if found is None or found.margin is None:
        return Finding(OVERFITTING, found, "not enough runs", "fewer than two runs of deep")
    if found.low > GAP:
        return Finding(OVERFITTING, found, "supported", "training images minus validation: more than ten points")
    if found.high > GAP:
        return Finding(OVERFITTING, found, "not enough runs", "the interval reaches beyond ten points")
    if rising(rows["deep"]):
        return Finding(OVERFITTING, found, "budget too short", "deep still improved at the end")
    return Finding(OVERFITTING, found, "not supported", "training images minus validation: no more than ten points")


def _opening(records: Sequence[Record]) -> str:
    done = [record for record in records if record.status == "completed"]
    devices = sorted({record.result["environment"]["device"] for record in done})
    hours = duration(sum(record.seconds for record in records))
    text = f"{len(records)} runs, {len(done)} of them completed, {hours} of training in all, on {'; '.join(devices)}."
    if any(record.settings["data.validation"] == "test" for record in records):
        text += (
            " Where a run follows the course report's protocol, its validation images are the test set, and the last"
        )
        text += " epoch is reported: nothing was chosen by it, but what is seen there has been seen."
    return text + " Intervals are Student's, 95 %; differences are paired by seed."


def _beside_the_report(rows: Mapping[str, Sequence[Record]], search: Comparison | None) -> Iterator[Block]:
    epochs, images, _ = budget(next(iter(rows.values()))[0])
    yield Heading("The course report's experiments, and ours")
    yield Paragraph(
        f"Ours at one equal budget of {epochs} epochs on {images:,} training images. The report trained on 50,000, "
        "mostly for 120 epochs (our reading), one run each, on a GPU: its accuracies are no goal at another budget; "
        "the order of the rows can be compared."
    )
    header = (
        "experiment",
        "report",
        "its time",
        "ours",
        "95 % interval",
        "n",
        "epochs",
        "images",
        "width",
        "time",
        "device",
    )
    lines = []
    for name, experiment in EXPERIMENTS.items():
        its = [
            name,
            percent(experiment.accuracy) + " *" * bool(experiment.accuracy and experiment.remark),
            experiment.time,
        ]
        ours = _ours(rows[name], ACCURACY) if name in rows else ["-"] * 8
        if name == "search" and search:
            ours = _ours(search.rows[0].records, search.metric)
        lines.append([*its, *ours])
    yield Table(header, lines, "<>>>>>>>>><")
    remarks = [f"{name}: {experiment.remark}" for name, experiment in EXPERIMENTS.items() if experiment.remark]
    yield Paragraph(f"* {'; '.join(remarks)}.")
    if len({record.settings.get("model.width") for members in rows.values() for record in members}) > 1:
        yield Paragraph("The rows differ in width: those of unequal width are not to be compared with each other.")


def _ours(members: Sequence[Record], metric: str) -> list[str]:
    members = [record for record in members if record.metric(metric) is not None]
    s, (epochs, images, _) = measured(members, metric), budget(members[0])
    interval = "-" if s.margin is None else f"{100 * s.low:.2f} .. {100 * s.high:.2f} %"
    width, device = members[0].settings.get("model.width"), members[0].result["environment"]["device"]
    seconds = duration(sum(record.seconds for record in members) / len(members))
    return [percent(s.mean), interval, str(s.n), str(epochs), f"{images:,}", shown(width), seconds, device]


def _claims(rows: Mapping[str, Sequence[Record]]) -> Iterator[Block]:
    yield Heading("What the course report claims, and what these runs say")
    yield Paragraph(
        "Each claim as a difference of accuracies on the test set, in percentage points, paired by seed. Supported: "
        "the whole interval lies on the claimed side of 0. A verdict is one at this budget and width."
    )
    lines = []
    for finding in [*(judge(claim, rows) for claim in CLAIMS), overfitting(rows)]:
        d = finding.difference
        mean = "-" if d is None else f"{100 * d.mean:+.2f}"
        interval = "-" if d is None or d.margin is None else f"{100 * d.low:+.2f} .. {100 * d.high:+.2f}"
        formula = finding.claim.formula if finding.claim is not OVERFITTING else "deep: training - validation"
        lines.append((finding.claim.text, formula, mean, interval, str(d.n if d else 0), finding.verdict, finding.why))
    yield Table(("claim", "difference", "points", "95 % interval", "n", "verdict", "because"), lines, "<<>>><<")


def _curves(rows: Mapping[str, Sequence[Record]]) -> Iterator[Block]:
    yield Heading("Curves")
    for quantity, title in (("top1", "validation accuracy"), ("loss", "validation loss")):
        caption = f"{title[0].upper()}{title[1:]}: the mean over the runs of each row, and their range."
        yield Picture(f"curves_{quantity}", caption, overlaid_curves(rows, quantity, title))


def _overfitting(rows: Mapping[str, Sequence[Record]]) -> Iterator[Block]:
    yield Heading("Overfitting")
    yield Paragraph("Accuracy on the training images as they are, without augmentation and dropout, minus validation.")
    lines = []
    for name, members in rows.items():
        found = gap(members)
        if found is None:
            continue
        parts = [measured(members, f"metrics.{part}.top1") for part in ("train", "val")]
        lowest = [min(r.history, key=lambda row: row["val_loss"])["epoch"] for r in members if _has_validation(r)]
        margin = "-" if found.margin is None else f"± {100 * found.margin:.2f}"
        epochs = ", ".join(map(str, lowest)) or "-"
        lines.append((name, *(percent(part.mean) for part in parts), f"{100 * found.mean:.2f}", margin, epochs))
    header = ("row", "training", "validation", "gap, points", "95 %", "epoch of the lowest validation loss")
    yield Table(header, lines, "<>>>><")
    yield Picture("gap", "Training images as they are beside validation, mean over the runs.", gaps(rows))


def _search(search: Comparison | None) -> Iterator[Block]:
    if search is None:
        return
    experiment = EXPERIMENTS["search"]
    yield Heading("The search over the head")
    yield Paragraph(
        f"The report's best of 10 candidates: {experiment.accuracy} (0.036097) in {experiment.time}; its base had seen "
        f"the images that validated. Ours took {duration(sum(r.seconds for r in search.records))} of training."
    )
    yield Table(*cells(search))
    yield from map(Paragraph, notes(search))
    yield Commands(search_lines(search).splitlines())


def _mistakes(best: BestRun) -> Iterator[Block]:
    names = [name.replace("_", " ") for name in best.classes.names]
    matrix = confusion_matrix(best.logits.argmax(dim=1), best.labels, len(names))
    yield Heading("What the best run gets wrong")
    run = best.record
    yield Paragraph(f"{run.folder.path}: {percent(run.metric(ACCURACY))} on the test set.")
    yield Picture("confusion_matrix", "Confusion matrix on the test images.", figures.confusion(matrix, best.classes))
    hardest = per_class(matrix, best.classes)[:10]
    yield Paragraph("The hardest classes:")
    yield Table(
        ("class", "superclass", "found", "most often taken for"),
        [(row.name.replace("_", " "), row.superclass.replace("_", " "), percent(row.recall),
          f"{row.most_confused_with.replace('_', ' ')} ({percent(row.confused_share)})") for row in hardest],
        "<<><",
    )  # fmt: skip
    yield Paragraph("The pairs most often taken for each other, either way:")
    both = (matrix + matrix.T).triu(diagonal=1)
    order = both.flatten().argsort(descending=True, stable=True)[:10].tolist()
    pairs = [divmod(place, len(names)) for place in order if both.flatten()[place]]
    counts = [(names[i], names[j], str(int(matrix[i, j])), str(int(matrix[j, i]))) for i, j in pairs]
    yield Table(("one", "other", "one for other", "other for one"), counts, "<<>>")


def _name(record: Record) -> str:
    return record.choices.get("experiment", "").removeprefix(PREFIX)


def _has_validation(record: Record) -> bool:
    return bool(record.history) and all(row["val_loss"] is not None for row in record.history)
