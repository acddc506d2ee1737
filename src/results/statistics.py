"""Means of a few runs and what they are worth: standard deviation, Student's t."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """`std` is the sample's (divided by n - 1); `margin` reaches from the mean to either end of the 95 % interval.

    Both are None for a single value, which tells nothing about its spread.
    """

    mean: float
    std: float | None
    margin: float | None
    n: int

    @property
    def low(self) -> float | None:
        return None if self.margin is None else self.mean - self.margin

    @property
    def high(self) -> float | None:
        return None if self.margin is None else self.mean + self.margin


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and Student's 95 % interval of the mean. Raises ValueError for no values."""
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return Spread(mean, None, None, 1)
    std = statistics.stdev(values)
    return Spread(mean, std, student_quantile(0.975, n - 1) * std / math.sqrt(n), n)


def student_quantile(probability: float, freedom: int) -> float:
    """The t that a Student variable of `freedom` degrees stays below with `probability` in (0.5, 1), to 1e-9."""
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < probability:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def student_cdf(t: float, freedom: int) -> float:
    """P(T <= t) for t >= 0: the finite series of Abramowitz & Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom, 2):
        term *= (k - 1) / k * math.cos(angle) ** 2
        total += term
    inner = math.sin(angle) * total
    return 0.5 + (2 / math.pi * (angle + inner) if odd else inner) / 2
