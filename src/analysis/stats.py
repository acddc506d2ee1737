"""The mean of a few runs with its standard deviation and Student's confidence interval."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """Of n values; a single one has no standard deviation and no interval."""

    mean: float
    n: int
    std: float | None = None  # of the sample: divided by n - 1
    margin: float | None = None  # half the width of the 95 % interval around the mean
    low: float | None = None
    high: float | None = None


def compute_spread(values: Sequence[float]) -> Spread | None:
    """Mean, standard deviation and Student's 95 % interval of the mean of independent values; None for no values."""
    if not values:
        return None
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return Spread(mean, n)
    from scipy.stats import t  # slow to import

    std = statistics.stdev(values)
    margin = float(t.ppf(0.975, n - 1)) * std / math.sqrt(n)
    return Spread(mean, n, std, margin, mean - margin, mean + margin)


def format_spread(spread: Spread | None, spec: str = ".2f", scale: int = 100, unit: str = " %") -> list[str]:
    """Mean, interval and n as ["41.00 %", "38.52 .. 43.48 %", "3"]; "-" for what there is not."""
    if spread is None:
        return ["-", "-", "0"]
    interval = "-" if spread.n == 1 else f"{scale * spread.low:{spec}} .. {scale * spread.high:{spec}}{unit}"
    return [f"{scale * spread.mean:{spec}}{unit}", interval, str(spread.n)]
