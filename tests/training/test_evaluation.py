from dataclasses import replace

import pytest
import torch

from src.data.dataset import Classes
from src.errors import UserError
from src.training.evaluation import EvaluatedRun, Outputs, evaluate_ensemble

LABELS, CLASSES, SOURCE = torch.tensor([0, 1]), Classes(("a", "b")), {"_target_": "my_data"}


def run(logits, labels=LABELS, classes=CLASSES, flipped=None, name="x", source=SOURCE, indices=None):
    return EvaluatedRun(name, "best", 1, Outputs(torch.tensor(logits), flipped, labels, classes, source, indices))


def test_probabilities_are_averaged_not_logits():
    sure, unsure = run([[9.0, 0.0], [9.0, 0.0]]), run([[0.0, 0.5], [0.0, 0.5]])
    both = evaluate_ensemble([sure, unsure])
    mean = (sure.outputs.logits.softmax(dim=1) + unsure.outputs.logits.softmax(dim=1)) / 2
    assert torch.allclose(both.outputs.logits.softmax(dim=1), mean)
    assert torch.allclose(both.outputs.logits, mean.log())
    assert both.tta_flip is None


def test_an_ensemble_of_equal_runs_is_that_run():
    one = run([[2.0, 0.0], [0.5, 1.0]], flipped=torch.tensor([[0.0, 2.0], [2.0, 0.0]]))
    both = evaluate_ensemble([one, one])
    assert both.metrics.loss == pytest.approx(one.metrics.loss)
    assert both.tta_flip.top1 == one.tta_flip.top1 == 0


OTHERS = [
    {"labels": torch.tensor([1, 0])},
    {"classes": Classes(("a", "c"))},
    {"source": {"_target_": "my_data", "seed": 1}},
    {"indices": torch.tensor([3, 5])},
]


@pytest.mark.parametrize("other", OTHERS)
def test_runs_of_other_images_make_no_ensemble(other):
    with pytest.raises(UserError, match="second and x have other images or classes, so they make no ensemble"):
        evaluate_ensemble([run([[2.0, 0.0], [0.5, 1.0]]), run([[2.0, 0.0], [0.5, 1.0]], name="second", **other)])


def test_the_temperature_divides_the_logits():
    one = replace(run([[4.0, 0.0], [4.0, 0.0]]), temperature=4.0)
    assert one.calibrated.loss < one.metrics.loss and one.calibrated.top1 == one.metrics.top1
    assert run([[1.0, 0.0], [1.0, 0.0]]).metrics.loss == pytest.approx(one.calibrated.loss)
    assert run([[1.0, 0.0], [1.0, 0.0]]).calibrated is None
