import math

import pytest

from src.results.statistics import spread, student_cdf, student_quantile

# From printed tables of Student's t, two-sided 95 %.
QUANTILES = {1: 12.7062, 2: 4.30265, 3: 3.18245, 4: 2.77645, 5: 2.57058, 9: 2.26216, 30: 2.04227, 1000: 1.96234}


@pytest.mark.parametrize("freedom", QUANTILES)
def test_quantiles_are_those_of_the_tables(freedom):
    assert student_quantile(0.975, freedom) == pytest.approx(QUANTILES[freedom], abs=1e-4)


@pytest.mark.parametrize("freedom", [1, 2, 7, 40])
def test_quantile_inverts_the_distribution(freedom):
    assert student_cdf(0.0, freedom) == 0.5
    assert student_cdf(student_quantile(0.9, freedom), freedom) == pytest.approx(0.9, abs=1e-9)


def test_spread_of_three_values():
    s = spread([0.40, 0.42, 0.47])
    assert (s.mean, s.n) == (pytest.approx(0.43), 3)
    assert s.std == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2))
    assert s.margin == pytest.approx(4.30265 * s.std / math.sqrt(3), rel=1e-5)
    assert s.high - s.low == pytest.approx(2 * s.margin)


def test_one_value_has_no_spread():
    s = spread([0.4])
    assert (s.mean, s.std, s.margin, s.low, s.high, s.n) == (0.4, None, None, None, None, 1)


def test_equal_values_have_none_to_speak_of():
    assert spread([0.25, 0.25]).margin == 0
