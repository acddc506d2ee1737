"""The first page of a report: the question, the answer in words, one table, one picture."""

from collections import Counter
from collections.abc import Sequence

from src.analysis import plots
from src.analysis.answer import CANNOT_TELL, HELPS, HURTS, NO_DIFFERENCE, POINT, Answer, answer_all
from src.analysis.compare import (
    CHOICES,
    TEST_ACCURACY,
    Comparison,
    Scale,
    SettingRow,
    measure_spread,
    name_metric,
    short_names,
)
from src.analysis.document import Block, Heading, Picture, Table
from src.analysis.pairs import MAX_PAIRS, Group, pair_runs
from src.analysis.runs import drop_repeats
from src.analysis.stats import format_spread
from src.result import Status

VERDICTS = (  # of the best setting against another
    (HELPS, "it is better than {} (p < 0.05, Holm)"),
    (HURTS, "it is worse than {} (p < 0.05, Holm)"),
    (NO_DIFFERENCE, "its difference from {} is below one point"),
    (CANNOT_TELL, "it cannot be told from {}"),
)


def ask(names: Sequence[str], count: int) -> str:
    """The question in words: of `count` settings that differ in `names`."""
    if not names or count < 2:
        return "How good is this setting?"
    if len(names) > 1 or count > 2:
        return f"Which {' and '.join(names)} is best?"
    return f"Which {names[0]} is better?" if names[0] in CHOICES else f"Does {names[0]} help?"


def show_headline(comparison: Comparison) -> list[Block]:
    """The best setting by the comparison's metric, judged by the accuracy on the test set."""
    rows = {name: row for name, row in zip(short_names(comparison), comparison.rows, strict=True) if row.spread}
    title = Heading(ask(comparison.columns, len(rows)), 1)
    if not rows:
        return [title, "No run has been evaluated yet."]
    (best, row), scale = next(iter(rows.items())), Scale.of(comparison.metric)
    mean, interval, n = format_spread(row.spread, scale.spec, scale.factor, scale.percent)
    spread = f"95 % interval {interval}, {n} runs" if row.spread.low is not None else f"{n} run"
    sentence = f"{best} has the best {name_metric(comparison.metric)}: {mean} ({spread})."
    chosen_there = "test" in comparison.metric.split(".")  # then nothing independent is left to judge by
    verdicts = "" if chosen_there else summarize(judge_best(rows))
    is_tested = all(measure_spread(row.records, TEST_ACCURACY) for row in rows.values())
    metrics = list(dict.fromkeys([comparison.metric, *([TEST_ACCURACY] if is_tested else [])]))
    return [title, f"{sentence} {verdicts}".strip(), show_rows(rows, metrics), show_picture(rows, metrics[-1])]


def judge_best(rows: dict[str, SettingRow]) -> list[Answer]:
    """The first setting against each other one, on the test set, by the runs that have completed."""
    groups = [
        Group(name, tuple(drop_repeats([r for r in row.records if r.status == Status.COMPLETED], TEST_ACCURACY)))
        for name, row in list(rows.items())[: MAX_PAIRS + 1]
    ]
    best, *others = groups
    compared = [(other, best, pair_runs(other, best, [], [])) for other in others if other.records and best.records]
    return answer_all(compared, TEST_ACCURACY, "maximize", POINT)


def summarize(answers: Sequence[Answer]) -> str:
    """As "On the test set it is better than 2 of 3 other settings (p < 0.05, Holm), ..."."""
    counts = Counter(answer.verdict for answer in answers)
    of = f"of {len(answers)} other settings" if len(answers) > 1 else ""
    parts = [
        text.format(f"{counts[verdict]} {of}" if of else "the other") for verdict, text in VERDICTS if counts[verdict]
    ]
    return f"On the test set {', '.join(parts)}." if parts else ""


def show_rows(rows: dict[str, SettingRow], metrics: Sequence[str]) -> Table:
    header = ["setting"] + [text for metric in metrics for text in (name_metric(metric), "95 % interval")] + ["n"]
    lines = []
    for name, row in rows.items():
        cells: list[str] = []
        for metric in metrics:
            scale = Scale.of(metric)
            spread = measure_spread(row.records, metric)
            cells += format_spread(spread, scale.spec, scale.factor, scale.percent)[:2]
        lines.append([name, *cells, str(row.spread.n)])
    return Table(header, lines, "<" + ">" * (len(header) - 1))


def show_picture(rows: dict[str, SettingRow], metric: str) -> Picture:
    """Of the settings in which the metric was measured."""
    scale = Scale.of(metric)
    spreads = {name: measure_spread(row.records, metric) for name, row in rows.items()}
    known = {name: spread for name, spread in spreads.items() if spread}
    label = f"{name_metric(metric)}{', ' + scale.percent.strip() if scale.percent else ''}"
    caption = f"{name_metric(metric)}: the mean of each setting and its 95 % interval."
    return Picture("settings", caption, plots.plot_settings(known, scale.factor, label))
