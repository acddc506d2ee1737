from dataclasses import replace

import pytest

from src.course2021.claims import is_rising, judge, judge_overfitting
from src.course2021.experiments import Claim

FLAT = [0.4] * 10
RISING = [0.04 * n for n in range(1, 11)]
DROPOUT = Claim("Dropout helps.", "dropout - deep", "positive")
DEPTH = Claim("Depth brings nothing.", "deeper - deep", "nothing")
SINGLE = Claim("One layer does worse.", "single - deep", "negative")


@pytest.fixture
def runs(recorded):
    """runs(deep=[0.4, 0.5], ...) -> runs of each row, seed 0, 1, ...; `still=name` is the row that still rises."""

    flat, rising = recorded(history=FLAT), recorded(history=RISING)

    def run(record, seed, accuracy):
        result = {**record.result, "metrics": {"test": {"top1": accuracy}}}
        return replace(record, result=result, settings={**record.settings, "seed": seed})

    def make(still="", **accuracies):
        return {
            name: [run(rising if name == still else flat, seed, value) for seed, value in enumerate(values)]
            for name, values in accuracies.items()
        }

    return make


def test_the_difference_is_paired_by_seed(runs):
    finding = judge(DROPOUT, runs(dropout=[0.410, 0.511, 0.612], deep=[0.40, 0.50, 0.60]))
    assert finding.verdict == "supported"
    assert finding.difference.mean == pytest.approx(0.011)
    assert finding.difference.std == pytest.approx(0.001)  # not 0.1, that of either row
    assert finding.difference.n == 3


def test_only_seeds_that_all_rows_have_count(runs):
    assert judge(DROPOUT, runs(dropout=[0.5, 0.6, 0.9], deep=[0.4, 0.5])).difference.n == 2


@pytest.mark.parametrize(
    ("claim", "row", "accuracies", "verdict"),
    [
        (DROPOUT, "dropout", [0.50, 0.51, 0.50], "supported"),
        (DROPOUT, "dropout", [0.30, 0.31, 0.30], "not supported"),
        (DROPOUT, "dropout", [0.40, 0.401, 0.399], "not supported"),  # no difference
        (DROPOUT, "dropout", [0.35, 0.45, 0.41], "not enough runs"),  # wider than a point each way
        (DROPOUT, "dropout", [0.50], "not enough runs"),
        (DROPOUT, "dropout", [0.50, 0.50, 0.50], "not enough runs"),  # nothing shows how much seeds differ
        (DEPTH, "deeper", [0.40, 0.401, 0.399], "supported"),
        (DEPTH, "deeper", [0.30, 0.31, 0.30], "supported"),
        (DEPTH, "deeper", [0.50, 0.51, 0.50], "not supported"),
        (DEPTH, "deeper", [0.402, 0.401, 0.402], "not supported"),  # a small gain, but a certain one
        (DEPTH, "deeper", [0.35, 0.45, 0.41], "not enough runs"),
        (SINGLE, "single", [0.30, 0.31, 0.30], "supported"),
        (SINGLE, "single", [0.50, 0.51, 0.50], "not supported"),
    ],
)
def test_verdicts(runs, claim, row, accuracies, verdict):
    assert judge(claim, runs(deep=[0.4, 0.4, 0.4], **{row: accuracies})).verdict == verdict


@pytest.mark.parametrize(
    ("claim", "row", "accuracies", "still", "verdict"),
    [
        (DROPOUT, "dropout", [0.30, 0.31, 0.30], "dropout", "budget too short"),
        (DROPOUT, "dropout", [0.30, 0.31, 0.30], "deep", "not supported"),  # deep is not claimed to do better
        (DROPOUT, "dropout", [0.50, 0.51, 0.50], "dropout", "supported"),
        (DEPTH, "deeper", [0.30, 0.31, 0.30], "deeper", "budget too short"),  # it may still gain something
        (DEPTH, "deeper", [0.50, 0.51, 0.50], "deeper", "not supported"),
        (SINGLE, "single", [0.50, 0.51, 0.50], "deep", "budget too short"),
        (SINGLE, "single", [0.50, 0.51, 0.50], "single", "not supported"),
    ],
)
def test_a_network_that_still_improves_keeps_the_question_open(runs, claim, row, accuracies, still, verdict):
    finding = judge(claim, runs(still, deep=[0.4, 0.4, 0.4], **{row: accuracies}))
    assert finding.verdict == verdict
    assert (still in finding.why) == (verdict == "budget too short")


def test_a_repeated_run_is_one_pair(recorded, runs):
    rows = runs(dropout=[0.410, 0.511], deep=[0.40, 0.50])
    alone = judge(DROPOUT, rows).difference
    rows["dropout"] += [recorded("seed=0", test=0.410, history=FLAT)]
    rows["deep"] += [recorded("seed=1", test=0.50, history=FLAT), recorded("seed=0", status="failed")]
    assert judge(DROPOUT, rows).difference == alone
    assert alone.n == 2


def test_overfitting_is_a_gap_of_ten_points(recorded):
    near = [recorded(f"seed={seed}", train=0.35 + seed / 1000, val=0.3, history=FLAT) for seed in range(2)]
    assert judge_overfitting({"deep": near}).verdict == "not supported"
    assert judge_overfitting({"deep": near[:1]}).verdict == "not enough runs"
    assert judge_overfitting({"deep": [near[0], near[0]]}).verdict == "not enough runs"
    equal = [recorded(f"seed={seed}", train=0.5, val=0.3, history=FLAT) for seed in range(2)]
    assert judge_overfitting({"deep": equal}).verdict == "not enough runs"
    assert judge_overfitting({}).verdict == "not enough runs"


def test_missing_rows_are_named(runs):
    finding = judge(DROPOUT, runs(deep=[0.4, 0.4]))
    assert (finding.verdict, finding.why) == ("not enough runs", "no runs of dropout")


def test_is_rising_compares_the_last_two_fifths(recorded):
    assert is_rising([recorded(history=RISING)])
    assert not is_rising([recorded(history=FLAT)])
    assert not is_rising([recorded(history=[0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.6, 0.6, 0.6, 0.6])])
    assert is_rising([recorded(history=[0.4])])  # too few epochs to tell
