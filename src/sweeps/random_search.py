"""The candidates of a randomized search (Bergstra & Bengio 2012): random points of the space of sweep overrides."""

import math
from collections.abc import Sequence

import numpy as np
from hydra.core.override_parser.types import IntervalSweep, Override

from src.errors import require
from src.sweeps.grid import list_values


def draw_candidates(overrides: Sequence[Override], count: int, seed: int) -> list[tuple[str, ...]]:
    """`count` different tuples of plain overrides, one override for each of `overrides`; a function of the seed.

    `choice()`, `range()` and comma lists are drawn uniformly, `interval()` uniformly between its ends, as whole numbers
    with both ends in `int(interval())`, uniformly in the logarithm in `tag(log, interval())`. A space with fewer points
    than `count` is taken whole.
    """
    generator = np.random.default_rng(seed)
    if any(override.is_interval_sweep() for override in overrides):
        return _draw_one_by_one(overrides, count, generator)
    lists = [list_values(override) for override in overrides]
    sizes = [len(values) for values in lists]
    total = math.prod(sizes)
    chosen = np.arange(total) if total <= count else generator.choice(total, size=count, replace=False)
    points = np.stack(np.unravel_index(chosen, sizes), axis=1) if sizes else [()]
    return [tuple(values[i] for values, i in zip(lists, point, strict=True)) for point in points]


def _draw_one_by_one(
    overrides: Sequence[Override], count: int, generator: np.random.Generator
) -> list[tuple[str, ...]]:
    lists = {o.get_key_element(): list_values(o) for o in overrides if not o.is_interval_sweep()}
    found: dict[tuple[str, ...], None] = {}
    for _ in range(100 * count):  # a short interval of whole numbers may not hold so many
        if len(found) == count:
            break
        found[tuple(_draw_value(override, lists, generator) for override in overrides)] = None
    return list(found)


def _draw_value(override: Override, lists: dict[str, list[str]], generator: np.random.Generator) -> str:
    key = override.get_key_element()
    if key in lists:
        return lists[key][generator.integers(len(lists[key]))]
    return f"{key}={_draw_number(override.input_line, override.value(), generator)}"


def require_interval(text: str, interval: IntervalSweep) -> None:
    """Raises UserError, which names the override `text`, for an interval from which nothing can be drawn."""
    start, end = interval.start, interval.end
    require(set(interval.tags) <= {"log"}, f"{text} has an unknown tag; the only one is log")
    require(math.isfinite(start) and math.isfinite(end), f"{text} must have finite ends")
    require(start < end, f"{text} is empty: the first number must lie below the second")
    require("log" not in interval.tags or start > 0, f"{text} has no logarithm: both numbers must be above 0")


def _draw_number(text: str, interval: IntervalSweep, generator: np.random.Generator) -> str:
    require_interval(text, interval)
    start, end, log = interval.start, interval.end, "log" in interval.tags
    whole = isinstance(start, int)
    top = end + 1 if whole else end  # a number between two whole ones counts as the lower
    value = math.exp(generator.uniform(math.log(start), math.log(top))) if log else generator.uniform(start, top)
    return str(min(int(value), end)) if whole else f"{value:.4g}"
