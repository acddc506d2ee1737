import pytest
import torch

from src.analysis.answer import CANNOT_TELL, HELPS, HURTS, NO_DIFFERENCE, answer_all, compare_images, judge
from src.analysis.pairs import Group, Pairing, group_by, pair_runs
from src.analysis.stats import Difference, Spread, adjust_holm, paired_difference
from src.data.dataset import Classes
from src.predictions import Predictions, save_predictions

TOP1 = "metrics.test.top1"


def difference(low, high):
    return Difference(Spread((low + high) / 2, 4, 0.01, (high - low) / 2, low, high), None, paired=True)


@pytest.mark.parametrize(
    ("low", "high", "p", "direction", "verdict"),
    [
        (0.01, 0.03, 0.01, "maximize", HELPS),
        (0.01, 0.03, 0.01, "minimize", HURTS),
        (-0.03, -0.01, 0.01, "maximize", HURTS),
        (-0.03, -0.01, 0.01, "minimize", HELPS),
        (0.001, 0.004, 0.01, "maximize", HELPS),
        (-0.004, 0.006, 0.6, "maximize", NO_DIFFERENCE),
        (-0.004, 0.011, 0.3, "maximize", CANNOT_TELL),
        (0.001, 0.03, 0.09, "maximize", CANNOT_TELL),  # p after correction
        (-0.1, 0.1, None, "maximize", CANNOT_TELL),
    ],
)
def test_verdicts(low, high, p, direction, verdict):
    assert judge(difference(low, high), p, direction, margin=0.01)[0] == verdict


def test_reasons_say_what_the_verdict_hides():
    assert "by less than the margin" in judge(difference(0.001, 0.004), 0.01, "maximize", 0.01)[1]
    assert "Holm" in judge(difference(0.001, 0.03), 0.09, "maximize", 0.01)[1]


@pytest.fixture
def three(recorded):
    """Three widths with four seeds: the second is two points better than the first, the third hardly."""
    gains = {1: (0, 0, 0, 0), 2: (0.02, 0.021, 0.019, 0.02), 4: (0.01, -0.01, 0.02, -0.015)}
    runs = [
        recorded(f"model.width={width}", f"seed={seed}", test=0.5 + seed / 50 + gains[width][seed])
        for width in gains
        for seed in range(4)
    ]
    first, *others = group_by(runs, ["model.width"], ["model.width"])
    return [(first, other, pair_runs(first, other, ["model.width"], ["model.width"])) for other in others]


def test_answers_are_paired_and_corrected_together(three):
    better, unclear = answer_all(three, TOP1, "maximize", 0.01)
    assert (better.verdict, unclear.verdict) == (HELPS, CANNOT_TELL)
    assert better.difference.spread.mean == pytest.approx(0.02)  # not blurred by the seeds, which differ by six points
    alone = [answer.difference.p for answer in (better, unclear)]
    assert [better.p, unclear.p] == pytest.approx(adjust_holm(alone))
    assert better.needed <= 4 < unclear.needed


def test_one_pair_has_no_p_value_and_corrects_nothing(three):
    (first, second, pairing), whole = three
    pair = pairing.pairs[0]
    single = (Group("1", pair[:1]), Group("2", pair[1:]), Pairing((pair,), ()))
    lonely, other = answer_all([single, whole], TOP1, "maximize", 0.01)
    assert (lonely.verdict, lonely.p, lonely.needed) == (CANNOT_TELL, None, None)
    first_values, second_values = zip(*[(a.metric(TOP1), b.metric(TOP1)) for a, b in pairing.pairs], strict=True)
    assert answer_all([single, (first, second, pairing)], TOP1, "maximize", 0.01)[1].p == pytest.approx(
        paired_difference(first_values, second_values).p
    )
    assert other.p == other.difference.p


def test_groups_without_common_seeds_are_compared_as_independent(recorded):
    runs = [
        recorded(f"model.width={w}", f"seed={s + 9 * w}", test=0.5 + w / 10 + s / 1000) for w in (1, 2) for s in (0, 1)
    ]
    groups = group_by(runs, ["model.width"], ["model.width"])
    (answer,) = answer_all([(*groups, pair_runs(*groups, ["model.width"], ["model.width"]))], TOP1, "maximize", 0.01)
    assert (answer.difference.paired, answer.verdict) == (False, HELPS)


def test_mcnemar_takes_no_other_fold_for_the_same_images(recorded):
    labels, classes = torch.zeros(20, dtype=torch.int64), Classes(("a", "b"), (), ())
    first, same, other = (
        recorded(f"model.width={width}", val=0.5, data={"fingerprint": of})
        for width, of in ((1, "x"), (2, "x"), (3, "y"))
    )
    for record in (first, same, other):
        save_predictions(record.run_dir.val_logits_file, Predictions(torch.rand(20, 2), labels, classes))
    assert compare_images([(first, same)], "metrics.val.top1") is not None
    assert compare_images([(first, other)], "metrics.val.top1") is None


def test_mcnemar_counts_the_images_that_one_run_alone_gets_right(three):
    pairs = three[0][2].pairs[:2]
    labels, classes = torch.zeros(20, dtype=torch.int64), Classes(("a", "b"), (), ())

    def save(record, right):
        logits = torch.tensor([[1.0, 0.0]] * right + [[0.0, 1.0]] * (20 - right))
        save_predictions(record.run_dir.test_logits_file, Predictions(logits, labels, classes))

    assert compare_images(pairs, TOP1) is None  # nothing saved
    for (first, second), right in zip(pairs, (10, 18), strict=True):
        save(first, 8)
        save(second, right)
    found = compare_images(pairs, TOP1)
    assert (found.only_first, found.only_second, found.pairs) == (0, 6, 2)
    assert found.told_apart == 1  # 0 against 2 images: p = 0.5; 0 against 10: p = 0.002
    assert compare_images([], TOP1) is None
    assert compare_images(pairs, "metrics.val.top1") is None and compare_images(pairs, "metrics.test.loss") is None
