import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.analysis.compare import differing
from src.analysis.pairs import Group, choose_pairs, group_by, pair_runs
from src.errors import UserError


@pytest.fixture
def grid(recorded):
    """Two widths, two dropouts, two seeds, in the order of a sweep."""
    return [
        recorded(f"model.width={width}", f"model.dropout={dropout}", f"seed={seed}", test=0.5)
        for width in (1, 2)
        for dropout in (0, 0.5)
        for seed in (0, 1)
    ]


def names(pairs):
    return [(first.name, second.name) for first, second in pairs]


def test_groups_are_the_values_in_the_order_of_the_runs(grid):
    groups = group_by(grid, ["model.dropout"], differing(grid))
    assert [(group.name, len(group.records)) for group in groups] == [("0", 4), ("0.5", 4)]
    groups = group_by(grid, ["model.width", "model.dropout"], differing(grid))
    assert groups[1].name == "model.width=1 model.dropout=0.5"


@pytest.mark.parametrize(
    ("by", "sentence"),
    [
        ("lr", r"by=lr is not a setting of these runs; they differ in model\.width, model\.dropout\.$"),
        ("optimizer.lr", r"by=optimizer\.lr has one value in all of these runs, 0\.001; they differ in"),
    ],
)
def test_a_name_in_which_no_runs_differ_is_refused(grid, by, sentence):
    with pytest.raises(UserError, match=sentence):
        group_by(grid, [by], differing(grid))


def test_pairs_share_seed_and_all_other_settings(grid):
    first, second = group_by(grid, ["model.dropout"], differing(grid))
    pairing = pair_runs(first, second, ["model.dropout"], differing(grid))
    assert pairing.confounders == () and len(pairing.pairs) == 4
    for a, b in pairing.pairs:
        assert (a.settings["seed"], a.settings["model.width"]) == (b.settings["seed"], b.settings["model.width"])
        assert (a.settings["model.dropout"], b.settings["model.dropout"]) == (0, 0.5)


def test_settings_without_a_common_value_are_apart_and_keep_no_runs_from_pairing(recorded):
    runs = [
        recorded(f"optimizer={name}", f"optimizer.lr={lr}", f"seed={seed}", test=0.5, overridden=["optimizer.lr"])
        for name, lr in (("adam", 0.001), ("sgd", 0.1))
        for seed in (0, 1)
    ]
    pairing = pair_runs(*group_by(runs, ["optimizer"], differing(runs)), ["optimizer"], differing(runs))
    assert pairing.confounders == ("optimizer.lr",) and len(pairing.pairs) == 2


def test_runs_without_common_seeds_are_no_pairs(recorded):
    runs = [recorded(f"model.width={width}", f"seed={seed}", test=0.5) for width, seed in ((1, 0), (1, 1), (2, 2))]
    assert pair_runs(*group_by(runs, ["model.width"], differing(runs)), ["model.width"], differing(runs)).pairs == ()


def test_several_runs_of_one_seed_are_no_side_of_a_pair(grid):
    """As folders: one with both dropouts, one with a third."""
    first, second = Group("a", tuple(grid[:4])), Group("b", tuple(grid[4:6]))
    assert len(pair_runs(first, second, [], differing(grid)).pairs) == 2
    with pytest.raises(UserError, match=r"a has several runs with seed=0: .*0_run and .*2_run"):
        pair_runs(first, Group("b", tuple(grid[6:])), ["model.dropout"], differing(grid))


def test_which_groups_are_compared():
    groups = [Group(name, ()) for name in ("adam", "sgd", "muon")]
    assert names(choose_pairs(groups, None, [])) == [("adam", "sgd"), ("adam", "muon"), ("sgd", "muon")]
    assert names(choose_pairs(groups, "sgd", [])) == [("sgd", "adam"), ("sgd", "muon")]
    assert names(choose_pairs(groups, "sgd", ["muon"])) == [("sgd", "muon")]


@pytest.mark.parametrize(
    ("first", "others", "sentence"),
    [
        ("lion", [], "a=lion is not one of adam, sgd"),
        ("adam", ["lion"], "b=lion is not one of adam, sgd"),
        (None, ["sgd"], "b is compared with a"),
        ("sgd", ["sgd"], "a=sgd is compared with itself"),
    ],
)
def test_groups_that_cannot_be_compared(first, others, sentence):
    with pytest.raises(UserError, match=sentence):
        choose_pairs([Group(name, ()) for name in ("adam", "sgd")], first, others)


def test_null_is_a_value_where_it_is_quoted():
    groups = [Group(name, ()) for name in ("null", "0.1")]
    with pytest.raises(UserError) as error:
        choose_pairs(groups, None, ["0.1"])
    (_, _, typed) = str(error.value).removesuffix(".").partition("null as ")
    override = OverridesParser.create().parse_override(*shlex.split(typed))
    assert (override.key_or_group, override.value()) == ("a", "null")
    assert names(choose_pairs(groups, override.value(), ["0.1"])) == [("null", "0.1")]


def test_more_than_twenty_comparisons_need_a_baseline():
    groups = [Group(str(n), ()) for n in range(7)]
    with pytest.raises(UserError, match="7 settings make 21 comparisons; name one of them"):
        choose_pairs(groups, None, [])
    assert len(choose_pairs(groups, "0", [])) == 6
