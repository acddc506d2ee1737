"""Walks over nested settings."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted name and value of each setting: ("data.limit", 10) of {"data": {"limit": 10}}. Lists are values."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def is_in(name: str, parts: Iterable[str]) -> bool:
    """Whether the dotted `name` is one of `parts` or lies in one: features.0.weight in features."""
    return any(f"{name}.".startswith(f"{part}.") for part in parts)


def mappings_in(node: Any) -> Iterator[Mapping[str, Any]]:
    """`node` and every mapping in it, however deep, in lists too."""
    if isinstance(node, Mapping):
        yield node
        for value in node.values():
            yield from mappings_in(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from mappings_in(value)


def find_targets(node: Any) -> Iterator[str]:
    """Every `_target_` in `node`, however deep."""
    return (str(inner["_target_"]) for inner in mappings_in(node) if "_target_" in inner)
