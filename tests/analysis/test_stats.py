import math

import pytest

from src.analysis.stats import (
    adjust_holm,
    bootstrap_interval,
    compute_spread,
    format_spread,
    mcnemar,
    paired_difference,
    runs_needed,
    unpaired_difference,
)

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


# The figures of the next four tests are those of statsmodels 0.15 and SciPy 1.17 for the same numbers.
FIRST, SECOND = [0.41, 0.42, 0.40, 0.43], [0.43, 0.45, 0.41, 0.44]


def test_a_paired_difference_is_students():
    difference = paired_difference(FIRST, SECOND)
    assert difference.p == pytest.approx(0.0353528470)
    assert difference.spread.mean == pytest.approx(0.0175)
    assert (difference.spread.low, difference.spread.high) == pytest.approx((0.0022651982, 0.0327348018))
    assert (difference.spread.n, difference.paired) == (4, True)


def test_a_difference_of_independent_groups_is_welchs():
    difference = unpaired_difference(FIRST, SECOND[:3])
    assert difference.p == pytest.approx(0.3338237001)
    assert (difference.spread.low, difference.spread.high) == pytest.approx((-0.0254232795, 0.0554232795))
    assert (difference.spread.n, difference.paired) == (3, False)


@pytest.mark.parametrize("measure", [paired_difference, unpaired_difference])
def test_differences_without_spread_are_not_certain(measure):
    assert measure([0.5, 0.5], [0.75, 0.75]).p is None
    assert measure([0.5, 0.5], [0.5, 0.5]).p == 1
    assert measure([0.5, 0.5], [0.75, 0.75]).spread.low == 0.25
    assert measure([0.5], [0.75]).p is None


def test_differences_that_rounding_alone_tells_apart_are_equal():
    difference = paired_difference([0.40, 0.30, 0.20], [0.41, 0.31, 0.21])
    assert difference.p is None and difference.spread.std == difference.spread.margin == 0
    assert unpaired_difference([0.1 + 0.2, 0.3], [0.4, 0.4]).p is None
    assert compute_spread([1e-9, 2e-9, 2e-6]).std > 0  # small, but measured


def test_holms_correction():
    """The example of statsmodels' multipletests; Holm's own table has the same factors n, n - 1, ..., 1."""
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_holm([0.6, 0.7]) == [1, 1]
    assert adjust_holm([]) == []


def test_mcnemars_exact_test():
    """Agresti, Categorical Data Analysis (2002), table 10.1: 150 and 86 discordant pairs; and two by hand."""
    assert mcnemar(150, 86) == pytest.approx(3.716e-5, rel=1e-3)
    assert mcnemar(59, 6) == pytest.approx(4.964650e-12)
    assert mcnemar(0, 5) == 2 / 32
    assert mcnemar(0, 0) == 1


@pytest.mark.parametrize(
    ("std", "paired", "alpha", "needed"),
    [
        (2.0, True, 0.05, 34),  # statsmodels: TTestPower().solve_power(0.5, alpha=0.05, power=0.8) = 33.37
        (5.0, True, 0.05, 199),  # 198.15
        (2.0, False, 0.05, 33),  # TTestIndPower().solve_power(0.5 * 2**0.5, alpha=0.05, power=0.8) = 32.38
        (0.5, True, 0.05, 5),  # 4.22
        (2.0, True, 0.01, 51),  # 50.06
        (100.0, True, 0.05, None),
        (0.0, True, 0.05, None),
    ],
)
def test_runs_needed_for_a_difference_of_one(std, paired, alpha, needed):
    assert runs_needed(std, 1.0, paired, alpha) == needed


def test_the_bootstrap_resamples_the_mean():
    low, high = bootstrap_interval([1.0, 2.0, 4.0])
    assert (low, high) == (1, 4)  # 1/27 of the resamples are one value three times: more than 2.5 %
    assert bootstrap_interval([1.0, 2.0, 4.0]) == (low, high)
    many = [math.sin(n) for n in range(200)]
    spread = compute_spread(many)
    assert bootstrap_interval(many) == pytest.approx((spread.low, spread.high), abs=0.01)
