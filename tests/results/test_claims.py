import pytest

from src.results.claims import judge, rising
from src.results.course_report import Claim

FLAT = [0.4] * 10
RISING = [0.04 * n for n in range(1, 11)]
DROPOUT = Claim("Dropout helps.", (("dropout", 1), ("deep", -1)), "positive")
DEPTH = Claim("Depth brings nothing.", (("deeper", 1), ("deep", -1)), "nothing")
SINGLE = Claim("One layer does worse.", (("single", 1), ("deep", -1)), "negative")


@pytest.fixture
def runs(recorded):
    """runs(deep=[0.4, 0.5], ...) -> runs of each row, seed 0, 1, ...; `still=name` is the row that still rises."""

    def make(still="", **accuracies):
        return {
            name: [
                recorded(f"seed={seed}", test=value, history=RISING if name == still else FLAT)
                for seed, value in enumerate(values)
            ]
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
        (DROPOUT, "dropout", [0.40, 0.401, 0.399], "not supported"),  # no difference to be seen
        (DROPOUT, "dropout", [0.35, 0.45, 0.41], "not enough runs"),  # wider than a point each way
        (DROPOUT, "dropout", [0.50], "not enough runs"),
        (DEPTH, "deeper", [0.40, 0.401, 0.399], "supported"),
        (DEPTH, "deeper", [0.30, 0.31, 0.30], "supported"),
        (DEPTH, "deeper", [0.50, 0.51, 0.50], "not supported"),
        (DEPTH, "deeper", [0.402, 0.401, 0.402], "not supported"),  # little is gained, but surely
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
        (DROPOUT, "dropout", [0.30, 0.31, 0.30], "deep", "not supported"),  # more training would not turn it
        (DROPOUT, "dropout", [0.50, 0.51, 0.50], "dropout", "supported"),  # nor would it this
        (DEPTH, "deeper", [0.30, 0.31, 0.30], "deeper", "budget too short"),  # it may gain something yet
        (DEPTH, "deeper", [0.50, 0.51, 0.50], "deeper", "not supported"),
        (SINGLE, "single", [0.50, 0.51, 0.50], "deep", "budget too short"),
        (SINGLE, "single", [0.50, 0.51, 0.50], "single", "not supported"),
    ],
)
def test_a_network_that_still_improves_keeps_the_question_open(runs, claim, row, accuracies, still, verdict):
    finding = judge(claim, runs(still, deep=[0.4, 0.4, 0.4], **{row: accuracies}))
    assert finding.verdict == verdict
    assert (still in finding.why) == (verdict == "budget too short")


def test_missing_rows_are_named(runs):
    finding = judge(DROPOUT, runs(deep=[0.4, 0.4]))
    assert (finding.verdict, finding.why) == ("not enough runs", "no runs of dropout")


def test_rising_compares_the_last_two_fifths(recorded):
    assert rising([recorded(history=RISING)])
    assert not rising([recorded(history=FLAT)])
    assert not rising([recorded(history=[0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.6, 0.6, 0.6, 0.6])])
    assert rising([recorded(history=[0.4])])  # one epoch tells nothing
