import math

import pytest

from src.analysis.stats import compute_spread, format_spread

# From printed tables of Student's t, two-sided 95 %.
QUANTILES = {1: 12.7062, 2: 4.30265, 3: 3.18245, 4: 2.77645, 5: 2.57058, 9: 2.26216, 30: 2.04227, 1000: 1.96234}


@pytest.mark.parametrize("freedom", QUANTILES)
def test_quantiles_are_those_of_the_tables(freedom):
    s = compute_spread([n % 2 for n in range(freedom + 1)])
    assert s.margin * math.sqrt(s.n) / s.std == pytest.approx(QUANTILES[freedom], abs=1e-4)


def test_spread_of_three_values():
    s = compute_spread([0.40, 0.42, 0.47])
    assert (s.mean, s.n) == (pytest.approx(0.43), 3)
    assert s.std == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2))
    assert s.margin == pytest.approx(4.30265 * s.std / math.sqrt(3), rel=1e-5)
    assert s.high - s.low == pytest.approx(2 * s.margin)
    assert type(s.margin) is float


def test_one_value_has_no_spread():
    s = compute_spread([0.4])
    assert (s.mean, s.std, s.margin, s.low, s.high, s.n) == (0.4, None, None, None, None, 1)
    assert format_spread(s)[1] == "-"


def test_equal_values_have_a_spread_of_zero():
    s = compute_spread([0.25, 0.25])
    assert s.margin == 0
    assert format_spread(s)[1] == "25.00 .. 25.00 %"
