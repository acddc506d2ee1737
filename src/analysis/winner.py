"""The best setting of a sweep, and whether its lead is more than noise."""

import math
from typing import NamedTuple

from src.analysis.compare import Comparison, Scale, SettingRow, describe, format_metric, name_metric
from src.analysis.runs import drop_repeats
from src.analysis.stats import CONFIDENCE, adjust_holm, paired_difference, unpaired_difference

PROPORTIONS = ("top1", "top5", "superclass")  # metrics that count images


class Winner(NamedTuple):
    row: SettingRow
    text: str
    is_clear: bool  # whether its lead over the next is more than noise


def choose_winner(comparison: Comparison) -> Winner | None:
    """The best row, judged against the others that were trained as long; None where there is nothing to choose."""
    measured = [row for row in comparison.rows if row.spread]
    if not comparison.columns or len(measured) < 2:
        return None
    metric, (best, *others) = comparison.metric, measured
    others = [row for row in others if row.rung == best.rung]
    text = f"best: {describe(best)}, {name_metric(metric)} {format_metric(metric, best.spread.mean)}"
    if unfinished := len(comparison.unfinished) + len(comparison.unreadable):
        runs = "1 run is" if unfinished == 1 else f"{unfinished} runs are"
        text = f"{text} ({runs} not completed and not counted)"
    if not others:
        return Winner(best, f"{text}. All others were stopped earlier.", False)
    advice = f"repeat the best ones with {_new_seeds(best)} to tell"
    p_values = [p_value(best, other, metric) for other in others]
    if None in p_values:
        why = f"a single run does not show how much {name_metric(metric)} varies between seeds"
        return Winner(best, f"{text}. Its lead may be noise, for {why}: {advice}.", False)
    adjusted = adjust_holm(p_values)
    close = sum(p > 1 - CONFIDENCE for p in adjusted)
    lead = abs(best.spread.mean - others[0].spread.mean)
    scale = Scale.of(metric)
    points = f"{scale.factor * lead:{scale.spec}}{scale.unit}"
    facts = f"{_sample(best, others[0], metric)}, p = {adjusted[0]:.2g}"
    if adjusted[0] <= 1 - CONFIDENCE:
        return Winner(best, f"{text}. Its lead over the next, {points}, is more than noise ({facts}).", True)
    of = f"{close} of {len(others)} others cannot be told from it" if len(others) > 1 else advice
    return Winner(best, f"{text}. Its lead over the next, {points}, is within noise ({facts}); {of}.", False)


def p_value(first: SettingRow, second: SettingRow, metric: str) -> float | None:
    """The two-sided p-value of no difference; None where nothing tells how large the noise is.

    Several runs each: Student's t of pairs where both have the same seeds and folds, else Welch's; equal differences of
    all pairs tell nothing: 1. A single run of either: the test for the difference of two proportions (Dietterich 1998,
    "Approximate statistical tests for comparing supervised classification learning algorithms"). It knows the chance of
    the held-out images alone, not that of the seed, and takes the images of the two for different ones, which makes it
    cautious.
    """
    runs = [drop_repeats(row.records, metric) for row in (first, second)]
    values = [{record.replicate: record.metric(metric) for record in records} for records in runs]
    if min(map(len, values)) >= 2:
        one, other = ([by_place[place] for place in sorted(by_place)] for by_place in values)
        test = paired_difference if values[0].keys() == values[1].keys() else unpaired_difference
        p = test(one, other).p
        return 1.0 if p is None else p
    count = _num_images(first, metric)
    if count is None:
        return None
    shares = first.spread.mean, second.spread.mean
    variance = sum(share * (1 - share) for share in shares) / count
    difference = abs(shares[0] - shares[1])
    return math.erfc(difference / math.sqrt(2 * variance)) if variance else float(difference == 0)


def _new_seeds(row: SettingRow) -> str:
    """As "seed=3,4,5": three seeds that the row's runs have not had."""
    first = 1 + max(record.settings["seed"] for record in row.records)
    return f"seed={first},{first + 1},{first + 2}"


def _sample(first: SettingRow, second: SettingRow, metric: str) -> str:
    """What the p-value is of."""
    one, other = first.spread.n, second.spread.n
    each = "one run each" if one == 1 else f"{one} runs each"
    runs = each if one == other else f"{one} and {other} runs"
    return runs if min(one, other) > 1 else f"{runs}, {_num_images(first, metric):,} images"


def _num_images(row: SettingRow, metric: str) -> int | None:
    """The images whose share a metric is; None for metrics that are no such share."""
    part, _, name = metric.removeprefix("metrics.").partition(".")
    keys = {"val": "validation_images", "test": "test_images"}
    if name not in PROPORTIONS or part not in keys:
        return None
    counts = [record.result.get("data", {}).get(keys[part]) for record in row.records]
    return next(filter(None, counts), None)  # a run that failed early has none
