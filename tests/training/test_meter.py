import pytest
import torch

from src.training.meter import Meter

CPU = torch.device("cpu")


def test_means_are_those_of_the_images():
    meter = Meter(CPU)
    meter.update(torch.tensor(1.0, requires_grad=True), torch.tensor(10), 64)
    meter.update(torch.tensor(4.0), torch.tensor(1), 1)
    assert meter.mean_loss() == pytest.approx((64 * 1 + 4) / 65)
    assert meter.accuracy() == pytest.approx(11 / 65)
    assert not meter.loss_sum.requires_grad and meter.loss_sum.dtype == torch.float64


def test_an_interrupted_epochs_sums_continue():
    meter, other = Meter(CPU), Meter(CPU)
    meter.update(torch.tensor(1 / 3), torch.tensor(2), 10)
    meter.seconds = 1.5
    state = meter.state_dict()
    assert state == {"loss_sum": pytest.approx(10 / 3), "correct": 2, "images": 10, "seconds": 1.5}
    other.load_state_dict(state)
    for each in (meter, other):
        each.update(torch.tensor(0.1), torch.tensor(3), 7)
    assert meter.state_dict() == other.state_dict()


def test_a_new_epoch_starts_at_nothing():
    meter = Meter(CPU)
    meter.update(torch.tensor(1.0), torch.tensor(2), 10)
    meter.reset()
    assert meter.state_dict() == {"loss_sum": 0, "correct": 0, "images": 0, "seconds": 0}
