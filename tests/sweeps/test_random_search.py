import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.errors import UserError
from src.sweeps.random_search import draw_candidates


def parsed(*texts):
    return OverridesParser.create().parse_overrides(list(texts))


def values(candidates, place=0):
    return [float(candidate[place].partition("=")[2]) for candidate in candidates]


def test_candidates_are_different_and_follow_from_the_seed():
    space = parsed("a=1,2,3,4,5", "b=choice(x,y,z)", "c=range(0,4)")
    drawn = draw_candidates(space, 20, seed=0)
    assert len(set(drawn)) == 20
    assert all(len(candidate) == 3 for candidate in drawn)
    assert drawn == draw_candidates(space, 20, seed=0)
    assert drawn != draw_candidates(space, 20, seed=1)


def test_a_small_space_is_taken_whole():
    drawn = draw_candidates(parsed("a=1,2", "b=1,2,3"), 10, seed=3)
    assert len(drawn) == len(set(drawn)) == 6


def test_every_point_of_a_list_is_as_likely():
    counts = [0, 0, 0, 0]
    space = parsed("a=0,1,2,3")
    for seed in range(400):
        ((text,),) = draw_candidates(space, 1, seed)
        counts[int(text[-1])] += 1
    assert min(counts) > 70 and max(counts) < 130  # 100 each, standard deviation 8.7


def test_interval_is_drawn_evenly_between_its_ends():
    drawn = values(draw_candidates(parsed("a=interval(2,4)", "b=x,y"), 500, seed=0))
    assert 2 <= min(drawn) < 2.05 and 3.95 < max(drawn) <= 4
    assert sum(drawn) / 500 == pytest.approx(3, abs=0.1)


def test_log_interval_is_drawn_evenly_in_the_logarithm():
    drawn = values(draw_candidates(parsed("a=tag(log,interval(1e-4,1))"), 500, seed=0))
    assert min(drawn) >= 1e-4 and max(drawn) <= 1
    assert sum(map(math.log10, drawn)) / 500 == pytest.approx(-2, abs=0.2)


def test_int_interval_is_drawn_as_whole_numbers_with_both_ends():
    drawn = draw_candidates(parsed("a=int(interval(1,3))"), 10, seed=0)
    assert sorted(drawn) == [("a=1",), ("a=2",), ("a=3",)]


@pytest.mark.parametrize("text", ["a=interval(2,1)", "a=tag(log,interval(0,1))"])
def test_an_impossible_interval_is_named(text):
    with pytest.raises(UserError, match=r"a=.*interval"):
        draw_candidates(parsed(text), 3, seed=0)


def test_a_list_without_a_value_is_named():
    with pytest.raises(UserError, match=r"b=range\(3,3\) has no values"):
        draw_candidates(parsed("a=interval(1,2)", "b=range(3,3)"), 3, seed=0)
