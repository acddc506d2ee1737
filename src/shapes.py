"""Checks of values before they are used: the shape of what was read from a file, the range of a setting."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Shape = Any  # see `check_shape`


def check_shape(value: Any, shape: Shape, place: str = "") -> None:
    """Raises ValueError, naming `place`, unless `value` has the shape.

    A shape is a type; a tuple of shapes, one of which must fit; a frozenset of the values that are allowed; [shape] for
    a list or tuple of such values; {str: shape} for a mapping of names to such values; or {"name": shape, ...} for a
    mapping that holds these names, and perhaps others. Numbers must be finite, and True is no number.
    """
    name = place or "the whole"
    match shape:
        case tuple():
            _check_one_of(value, shape, name, place)
        case frozenset():
            if not isinstance(value, str) or value not in shape:
                raise ValueError(f"{name} is {_shown(value)}, not one of {', '.join(sorted(shape))}")
        case [inner]:
            if not isinstance(value, Sequence) or isinstance(value, str | bytes):
                raise ValueError(f"{name} is {_shown(value)}, not a list")
            for index, item in enumerate(value):
                check_shape(item, inner, f"{place}[{index}]")
        case Mapping():
            _check_mapping(value, shape, name, place)
        case type():
            _check_type(value, shape, name)


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError unless `value` lies in [low, high]; NaN does not."""
    if not low <= value <= high:
        raise ValueError(f"{name}={value} must lie in [{low}, {high}]")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}={value} is not one of {', '.join(choices)}")


def _check_one_of(value: Any, shapes: tuple[Shape, ...], name: str, place: str) -> None:
    problems = []
    for shape in shapes:
        if shape is None and value is None:
            return
        if shape is not None:
            try:
                return check_shape(value, shape, place)
            except ValueError as problem:
                problems.append(str(problem))
    raise ValueError(problems[-1] if problems else f"{name} is {_shown(value)}")


def _check_mapping(value: Any, shape: Mapping[Any, Shape], name: str, place: str) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{name} is {_shown(value)}, not a mapping of names")
    for key, inner in shape.items():
        if key is str:
            for each, item in value.items():
                check_shape(item, inner, f"{place}.{each}".lstrip("."))
        elif key not in value:
            raise ValueError(f"{f'{place}.{key}'.lstrip('.')} is missing")
        else:
            check_shape(value[key], inner, f"{place}.{key}".lstrip("."))


def _check_type(value: Any, kind: type, name: str) -> None:
    fits = isinstance(value, int | float if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind in (int, float)):
        raise ValueError(f"{name} is {_shown(value)}, not of type {kind.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}, not a finite number")


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
