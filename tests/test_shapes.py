import math

import pytest

from src.shapes import check_shape


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (3, int),
        (3, float),  # a whole number is a number
        (0.5, float),
        (None, (float, None)),
        ("a", frozenset({"a", "b"})),
        ([1, 2], [int]),
        ((1, 2), [int]),
        ({"x": {"y": 1}, "z": "other keys may be there"}, {"x": {str: int}}),
        ({}, {}),
    ],
)
def test_what_fits_passes(value, shape):
    check_shape(value, shape)


@pytest.mark.parametrize(
    ("value", "shape", "problem"),
    [
        (True, int, "the whole is True, not of type int"),
        (0.5, int, "the whole is 0.5, not of type int"),
        (math.nan, float, "the whole is nan, not a finite number"),
        ("3", (float, None), "the whole is '3', not of type float"),
        ("c", frozenset({"a", "b"}), "the whole is 'c', not one of a, b"),
        ([], frozenset({"a"}), r"the whole is \[\], not one of a"),
        ("ab", [str], "the whole is 'ab', not a list"),
        ({"x": [1, "2"]}, {"x": [int]}, r"x\[1\] is '2', not of type int"),
        ({"x": {"y": 1, "z": None}}, {"x": {str: int}}, "x.z is None, not of type int"),
        ({"x": 1}, {"y": int}, "y is missing"),
        ({1: 2}, {}, "the whole is {1: 2}, not a mapping of names"),
        ([1] * 99, {}, r"the whole is \[1, 1, .*\.\.\., not a mapping of names"),
    ],
)
def test_what_does_not_fit_is_named(value, shape, problem):
    with pytest.raises(ValueError, match=f"^{problem}$"):
        check_shape(value, shape)
