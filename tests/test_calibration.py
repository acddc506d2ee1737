import math

import pytest
import torch
from torch.nn import functional as F

from src.calibration import NUM_BINS, fit_temperature, measure_reliability

# The reference is torchmetrics 1.9, multiclass_calibration_error(n_bins=15, norm="l1"), on the same numbers.
ECE, CALIBRATED_ECE, TEMPERATURE = 0.25575942, 0.04195063, 2.2463650


@pytest.fixture(scope="module")
def outputs():
    """2,000 overconfident predictions of 10 classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (2000,), generator=generator)
    return 3 * torch.randn(2000, 10, generator=generator) + 4 * F.one_hot(labels, 10), labels


def test_ece_is_that_of_torchmetrics(outputs):
    logits, labels = outputs
    assert measure_reliability(logits, labels).ece == pytest.approx(ECE, abs=1e-6)
    assert measure_reliability(logits / TEMPERATURE, labels).ece == pytest.approx(CALIBRATED_ECE, abs=1e-6)


def test_bins_hold_each_image_once_and_have_their_means():
    right, wrong = torch.tensor([1, 0, 0, 1]), torch.tensor([0, 1, 1, 0])
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [math.log(3), 0.0], [9.0, -9.0]])  # 0.5, 0.75, 0.75, 1
    bins = measure_reliability(logits, torch.tensor([0, 0, 1, 1]))
    assert bins.images.sum() == 4 and len(bins.images) == NUM_BINS
    filled = bins.images > 0
    assert bins.images[filled].tolist() == [1, 2, 1]
    assert bins.confidence[filled].tolist() == pytest.approx([0.5, 0.75, 1])
    assert bins.accuracy[filled].tolist() == [1, 0.5, 0]
    assert bins.ece == pytest.approx((0.5 + 2 * 0.25 + 1) / 4)
    assert measure_reliability(100 * F.one_hot(right), right).ece == 0
    assert measure_reliability(100 * F.one_hot(right), wrong).ece == 1


def test_the_temperature_is_that_of_lbfgs(outputs):
    logits, labels = outputs
    temperature = torch.ones((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([temperature], max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(logits.double() / temperature, labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert fit_temperature(logits, labels) == pytest.approx(temperature.item(), rel=1e-4)
    assert temperature.item() == pytest.approx(TEMPERATURE, rel=1e-4)


def test_logits_that_are_right_as_they_are_keep_their_temperature():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 5, generator=generator)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).flatten()
    assert fit_temperature(logits, labels) == pytest.approx(1, abs=0.05)
