"""Candidates of a randomized search: random points of the space that sweep overrides span."""

import math
from collections.abc import Sequence

import numpy as np
from hydra.core.override_parser.types import IntervalSweep, Override

from src.errors import require


def draw_candidates(overrides: Sequence[Override], count: int, seed: int) -> list[tuple[str, ...]]:
    """`count` different tuples of plain overrides, one override for each of `overrides`; a function of the seed.

    `choice()`, `range()` and comma lists are drawn evenly, `interval()` evenly between its ends, as whole numbers with
    both ends in `int(interval())`, evenly in the logarithm in `tag(log, interval())`. All combinations where there are
    no more.
    """
    generator = np.random.default_rng(seed)
    if any(override.is_interval_sweep() for override in overrides):
        return _drawn_one_by_one(overrides, count, generator)
    lists = [listed(override) for override in overrides]
    sizes = [len(values) for values in lists]
    total = math.prod(sizes)
    chosen = np.arange(total) if total <= count else generator.choice(total, size=count, replace=False)
    places = np.stack(np.unravel_index(chosen, sizes), axis=1) if sizes else [()]
    return [tuple(values[i] for values, i in zip(lists, place, strict=True)) for place in places]


def listed(override: Override) -> list[str]:
    """The plain overrides that one stands for. Raises UserError for interval(), which has no end of them."""
    require(
        not override.is_interval_sweep(),
        f"{override.input_line.lstrip('+')} has no end of values; list them, or use hydra/sweeper=random_search",
    )
    key = override.get_key_element()
    if override.is_delete():
        return [override.input_line]
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    return [f"{key}={text}" for text in override.sweep_string_iterator()]


def _drawn_one_by_one(
    overrides: Sequence[Override], count: int, generator: np.random.Generator
) -> list[tuple[str, ...]]:
    lists = {o.get_key_element(): listed(o) for o in overrides if not o.is_interval_sweep()}
    found: dict[tuple[str, ...], None] = {}
    for _ in range(100 * count):  # whole numbers of a short interval may not give so many
        if len(found) == count:
            break
        found[tuple(_drawn(override, lists, generator) for override in overrides)] = None
    return list(found)


def _drawn(override: Override, lists: dict[str, list[str]], generator: np.random.Generator) -> str:
    key = override.get_key_element()
    if key in lists:
        return lists[key][generator.integers(len(lists[key]))]
    return f"{key}={_number(override.input_line, override.value(), generator)}"


def _number(text: str, interval: IntervalSweep, generator: np.random.Generator) -> str:
    start, end, log = interval.start, interval.end, "log" in interval.tags
    require(start < end, f"{text} is empty: the first number must lie below the second")
    require(not log or start > 0, f"{text} has no logarithm: both numbers must be above 0")
    whole = isinstance(start, int)
    top = end + 1 if whole else end  # what lies between two whole numbers counts as the lower
    value = math.exp(generator.uniform(math.log(start), math.log(top))) if log else generator.uniform(start, top)
    return str(min(int(value), end)) if whole else f"{value:.4g}"
