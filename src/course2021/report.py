"""The sections of a report on the course report of 2021: its experiments beside these runs, its claims, its search."""

from collections.abc import Sequence
from statistics import fmean

from src.analysis.compare import TEST_ACCURACY, Comparison, compare, describe, format_value, measure_spread
from src.analysis.document import Block, Commands, Heading, Picture, Table
from src.analysis.plots import plot_differences
from src.analysis.runs import Rows, RunRecord, device_of, drop_repeats, group_records
from src.analysis.stats import format_spread
from src.analysis.sweep_table import setting_blocks
from src.course2021.claims import judge, judge_overfitting
from src.course2021.experiments import CLAIMS, EXPERIMENTS
from src.formatting import duration, percent
from src.result import Status


def select_experiments(records: Sequence[RunRecord]) -> Rows:
    """The completed, independent runs of each experiment, at the budget, and of the setting, that has most of them."""
    names = [name for name in EXPERIMENTS if name != "search"]
    found = [record for record in records if record.status == Status.COMPLETED and _name(record) in names]
    chosen = max(
        group_records(drop_repeats(found), _budget),
        key=lambda runs: (len(set(map(_name, runs))), len(runs), _size(runs[0])),
        default=[],
    )
    settings = {name: compare([record for record in chosen if _name(record) == name]).rows for name in names}
    return {name: max(rows, key=lambda row: len(row.records)).records for name, rows in settings.items() if rows}


def select_search(records: Sequence[RunRecord]) -> Comparison | None:
    """The candidates of the experiment `search`, best first; None where none has been validated."""
    comparison = compare([record for record in records if _name(record) == "search"])
    return comparison if comparison.rows and comparison.rows[0].spread else None


def show_headline() -> list[Block]:
    return [
        Heading("Which of the course report's claims hold?", 1),
        "The course report of 2021 trained each of its networks once. Here its claims are judged by several runs each.",
    ]


def show_experiments(rows: Rows, search: Comparison | None) -> list[Block]:
    """The accuracies of the course report beside those of these runs."""
    epochs, images, _ = _budget(next(iter(rows.values()))[0])
    length = f"{epochs:g} epochs" if epochs else "as many epochs as fit into the time"
    results = {name: _result_cells(records, TEST_ACCURACY) for name, records in rows.items()}
    if search:
        results["search"] = _result_cells(search.rows[0].records, search.metric)
    lines = [
        [name, f"{percent(accuracy)}{' *' if accuracy and remark else ''}", time, *results.get(name, ["-"] * 6)]
        for name, (accuracy, time, remark) in EXPERIMENTS.items()
    ]
    measured = ("these runs", "95 % interval", "n", "width", "time", "device")
    remarks = [f"{name}: {experiment.remark}" for name, experiment in EXPERIMENTS.items() if experiment.remark]
    blocks = [
        Heading("The course report's experiments beside these runs"),
        (
            f"These runs share one budget: {length} on {images:,} training images. The course report trained on "
            "50,000 images, mostly for 120 epochs (as we read it), one run per experiment, on a GPU. At another budget "
            "the order of the rows can be compared, the accuracies cannot."
        ),
        Table(("experiment", "course report", "its time", *measured), lines, "<>>>>>>><"),
        f"* {'; '.join(remarks)}.",
    ]
    if len({record.settings.get("model.width") for records in rows.values() for record in records}) > 1:
        blocks.append("Rows of different width cannot be compared with each other.")
    return blocks


def show_claims(rows: Rows) -> list[Block]:
    """A verdict on each claim of the course report."""
    findings = [*(judge(claim, rows) for claim in CLAIMS), judge_overfitting(rows)]
    header = ("claim", "difference", "points", "95 % interval", "n", "verdict", "because")
    lines = [
        (claim.text, claim.formula, *format_spread(difference, "+.2f", unit=""), verdict, why)
        for claim, difference, verdict, why in findings
    ]
    measured = {claim.text: [100 * value for value in (spread.mean, spread.low, spread.high) if value is not None]
                for claim, spread, *_ in findings[:-1] if spread}  # fmt: skip
    figure = plot_differences(measured, 1, "difference, percentage points")
    text = "The differences between experiments and their 95 % intervals; the gray band is one point."
    return [
        Heading("The claims, and what these runs say"),
        (
            "Each claim as a difference of accuracies on the test set, in percentage points, paired by seed. Supported "
            "means that the whole interval lies on the claimed side of 0. A verdict holds at this budget and width."
        ),
        Table(header, lines, "<<>>><<"),
        *([Picture("claims", text, figure)] if measured else []),
    ]


def show_search(search: Comparison) -> list[Block]:
    """The candidates of the search, in a table and in the two kinds of line of the course report."""
    experiment, seconds = EXPERIMENTS["search"], sum(record.seconds for record in search.records)
    return [
        Heading("The search over the head"),
        (
            f"The course report's best of 10 candidates: {experiment.accuracy} (0.036097) in {experiment.time}; its "
            f"base had been trained on the images that validated. This search took {duration(seconds)} of training."
        ),
        *setting_blocks(search),
        Commands(search_lines(search).splitlines()),
    ]


def search_lines(comparison: Comparison) -> str:
    """The best candidate, then mean (standard deviation) and settings of each."""
    lines = []
    for row in comparison.rows:
        if row.spread:
            std = "-" if row.spread.std is None else f"{row.spread.std:.6f}"
            rung = f" ({row.rung})" if row.rung else ""
            lines.append(f"{row.spread.mean:.6f} ({std}) with {describe(row)}{rung}")
    return "\n".join([f"best: {lines[0]}", "", *lines]) if lines else "no candidate has been validated yet"


def _result_cells(records: Sequence[RunRecord], metric: str) -> list[str]:
    """Accuracy, interval, n, width, time and device of one row."""
    measured = drop_repeats(records, metric)
    width, device = measured[0].settings.get("model.width"), device_of(measured[0])
    seconds = fmean(record.seconds for record in measured)
    return [*format_spread(measure_spread(measured, metric)), format_value(width), duration(seconds), device]


def _budget(record: RunRecord) -> tuple[float | None, int, str | None]:
    """(epochs, training images, data set); epochs are None where runs fill a time."""
    return (
        record.settings["trainer.epochs"],
        record.result.get("data", {}).get("train_images", 0),
        record.choices.get("data"),
    )


def _size(record: RunRecord) -> tuple[float, int]:
    """The length of a run and its training images, to compare budgets by."""
    epochs, images, _ = _budget(record)
    return epochs or 0, images


def _name(record: RunRecord) -> str:
    """The name of the run's experiment in EXPERIMENTS; empty for other runs."""
    folder, _, name = record.choices.get("experiment", "").partition("/")
    return name if folder == "course2021" else ""
