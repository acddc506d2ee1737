"""The jobs of a plain multirun: every combination of comma-separated values."""

import itertools
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override

from src.choices import CONFIG_DIR, choices
from src.errors import require
from src.nodes import leaves
from src.overrides import allow_new_keys


def parse_overrides(
    parser: OverridesParser, params: Mapping[str, Any] | None, arguments: Sequence[str]
) -> list[Override]:
    """The overrides of hydra.sweeper.params, then those of the command line, which has the last word on each key."""
    given = leaves(params or {})  # {"optimizer.lr": "0.1,0.2"} is the same as {"optimizer": {"lr": "0.1,0.2"}}
    texts = [allow_new_keys(f"{name}={'null' if value is None else value}") for name, value in given]
    parsed = parser.parse_overrides([*texts, *arguments])
    return list({override.key_or_group: override for override in parsed}.values())


def product(overrides: Sequence[Override]) -> list[tuple[str, ...]]:
    """One tuple of plain overrides for each combination, the last varying fastest. Raises UserError for interval()."""
    return list(itertools.product(*map(list_values, overrides)))


def list_values(override: Override) -> list[str]:
    """The plain overrides that one stands for.

    Raises UserError for interval(), which has infinitely many values, and for a range or glob without any.
    """
    text = override.input_line.lstrip("+")
    require(
        not override.is_interval_sweep(),
        f"{text} has infinitely many values; list them, or use hydra/sweeper=random_search",
    )
    key = override.get_key_element()
    if override.is_delete():
        return [override.input_line]
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if isinstance(override.value(), Glob):
        names = choices(override.key_or_group)
        values = [name for name in names if _matches(override.value(), name) and not _is_sweep(name)]
    else:
        values = list(override.sweep_string_iterator())
    require(bool(values), f"{text} has no values, so the sweep has no jobs")
    return [f"{key}={value}" for value in values]


def _matches(glob: Glob, name: str) -> bool:
    """Whether a choice such as course2021/deep is meant; * matches / too."""
    included = any(fnmatch(name, pattern) for pattern in glob.include)
    return included and not any(fnmatch(name, pattern) for pattern in glob.exclude)


def _is_sweep(name: str) -> bool:
    """Whether an experiment is a whole sweep, with a sweeper of its own, and so cannot be one job of another."""
    file = CONFIG_DIR / "experiment" / f"{name}.yaml"
    return file.is_file() and "override /hydra/sweeper" in file.read_text()
