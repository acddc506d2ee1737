import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.errors import UserError
from src.search.grid import product


def jobs(*texts):
    return product(OverridesParser.create().parse_overrides(list(texts)))


def test_product_of_all_values_the_last_varying_fastest():
    assert jobs("a=1,2", "b=x", "c=range(0,2)") == [
        ("a=1", "b=x", "c=0"),
        ("a=1", "b=x", "c=1"),
        ("a=2", "b=x", "c=0"),
        ("a=2", "b=x", "c=1"),
    ]


def test_the_last_word_on_a_key_counts():
    assert jobs("a=1,2", "a=3") == [("a=3",)]


def test_an_interval_has_no_end_of_values():
    with pytest.raises(UserError, match=r"optimizer\.lr=interval\(0\.1,1\) has no end of values"):
        jobs("optimizer.lr=interval(0.1,1)")
