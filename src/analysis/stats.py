"""Statistics of a few runs: spreads, differences with their tests, and how many runs a question takes.

SciPy is imported where it is used: it is slow to import.
"""

import math
import statistics
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

CONFIDENCE = 0.95
ROUNDING = 1e-12  # values that differ by less than this share of their size are equal
MAX_RUNS = 1000  # beyond that many runs per setting, `runs_needed` gives up


class Spread(NamedTuple):
    """Of n values; a single one has no standard deviation and no interval."""

    mean: float
    n: int
    std: float | None = None  # of the sample: divided by n - 1
    margin: float | None = None  # half the width of the 95 % interval around the mean
    low: float | None = None
    high: float | None = None


class Difference(NamedTuple):
    """Second minus first. `spread.std` is that of one difference; `p` is the two-sided p-value of no difference.

    Paired: n pairs of runs that share a seed. Otherwise n is the smaller of the two numbers of runs.
    """

    spread: Spread
    p: float | None  # None where there are too few runs, or all differ equally
    paired: bool


def compute_spread(values: Sequence[float]) -> Spread | None:
    """Mean, standard deviation and Student's 95 % interval of the mean of independent values; None for no values."""
    if not values:
        return None
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return Spread(mean, n)
    from scipy.stats import t

    std = _deviation(values)
    margin = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * std / math.sqrt(n)
    return Spread(mean, n, std, margin, mean - margin, mean + margin)


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Student's t on the differences of pairs: first[i] and second[i] share a seed. At least one pair."""
    from scipy.stats import ttest_rel

    spread = compute_spread([b - a for a, b in zip(first, second, strict=True)])
    if spread.n == 1:
        return Difference(spread, None, paired=True)
    return Difference(spread, _p_value(spread, lambda: ttest_rel(second, first).pvalue), paired=True)


def unpaired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Welch's t (1947) of two independent groups, whose standard deviations may differ. At least one value each."""
    from scipy.stats import ttest_ind

    mean, n = statistics.fmean(second) - statistics.fmean(first), min(len(first), len(second))
    if n == 1:
        return Difference(Spread(mean, n), None, paired=False)
    std = math.hypot(_deviation(first), _deviation(second))
    if std == 0:
        spread = Spread(mean, n, std, 0.0, mean, mean)
    else:
        low, high = map(float, ttest_ind(second, first, equal_var=False).confidence_interval(CONFIDENCE))
        spread = Spread(mean, n, std, (high - low) / 2, low, high)
    return Difference(spread, _p_value(spread, lambda: ttest_ind(second, first, equal_var=False).pvalue), paired=False)


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean by the percentiles of 9,999 resamples, drawn with a fixed seed (Efron 1979)."""
    import numpy as np
    from scipy.stats import bootstrap

    found = bootstrap(
        (list(values),), np.mean, confidence_level=CONFIDENCE, method="percentile", rng=np.random.default_rng(0)
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) correction of the p-values of several comparisons, in the order given."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of McNemar's test (1947): the images that one of two classifiers alone gets right."""
    from scipy.stats import binomtest

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def runs_needed(std: float, difference: float, paired: bool, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """The runs of each setting with which a two-sided t-test at `alpha` finds a true difference with this power.

    `std` is the standard deviation of one difference: of a pair, or of one run of each of two independent groups. The
    power is that of the noncentral t distribution. None for more than 1,000 runs, and for a standard deviation of 0.
    """
    if std == 0:
        return None
    from scipy.stats import nct, t

    def power_of(n: int) -> float:
        freedom = n - 1 if paired else 2 * n - 2
        shift, critical = abs(difference) * math.sqrt(n) / std, t.ppf(1 - alpha / 2, freedom)
        return nct.sf(critical, freedom, shift) + nct.cdf(-critical, freedom, shift)

    n = 2 + bisect_left(range(2, MAX_RUNS + 1), power, key=power_of)
    return n if n <= MAX_RUNS else None


def format_spread(spread: Spread | None, spec: str = ".2f", scale: int = 100, unit: str = " %") -> list[str]:
    """Mean, interval and n as ["41.00 %", "38.52 .. 43.48 %", "3"]; "-" for what there is not."""
    if spread is None:
        return ["-", "-", "0"]
    interval = "-" if spread.low is None else f"{scale * spread.low:{spec}} .. {scale * spread.high:{spec}}{unit}"
    return [f"{scale * spread.mean:{spec}}{unit}", interval, str(spread.n)]


def _deviation(values: Sequence[float]) -> float:
    """Of the sample; 0 where rounding alone tells the values apart, as it does 0.41 - 0.40 and 0.31 - 0.30."""
    size = max(1.0, *map(abs, values))
    return 0.0 if max(values) - min(values) <= ROUNDING * size else statistics.stdev(values)


def _p_value(spread: Spread, test: Callable[[], float]) -> float | None:
    """None for equal differences other than 0, whose spread is unknown; SciPy returns 0 or NaN there."""
    if spread.std == 0:
        return 1.0 if spread.mean == 0 else None
    return float(test())
