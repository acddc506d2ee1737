import pytest
import torch
from torch import nn

from src.optim.sam import ASAM_OFFSET, climbed, unchanged_buffers


@pytest.fixture
def weights():
    """Two weights with gradients of length 5."""
    weights = [nn.Parameter(torch.tensor([[1.0, -2.0]])), nn.Parameter(torch.tensor([0.5]))]
    weights[0].grad, weights[1].grad = torch.tensor([[3.0, 0.0]]), torch.tensor([-4.0])
    return weights


def test_weights_move_along_their_gradient_and_back(weights):
    before = [weight.detach().clone() for weight in weights]
    with climbed(weights, rho=0.1, adaptive=False):
        torch.testing.assert_close(weights[0].data, torch.tensor([[1.06, -2.0]]))
        torch.testing.assert_close(weights[1].data, torch.tensor([0.42]))
    assert all(torch.equal(weight, saved) for weight, saved in zip(weights, before, strict=True))


def test_adaptive_moves_are_relative_to_the_weights(weights):
    sizes = [before.detach().abs() + ASAM_OFFSET for before in weights]
    norm = ((3 * sizes[0][0, 0]) ** 2 + (4 * sizes[1][0]) ** 2).sqrt()
    with climbed(weights, rho=0.1, adaptive=True):
        assert weights[0][0, 0].item() == pytest.approx(1 + 0.1 * 3 * (sizes[0][0, 0] ** 2 / norm).item())
        assert weights[1].item() == pytest.approx(0.5 - 0.1 * 4 * (sizes[1][0] ** 2 / norm).item())


@pytest.mark.parametrize("adaptive", [False, True])
def test_the_length_of_the_gradient_does_not_matter(weights, adaptive):
    with climbed(weights, 0.1, adaptive):
        moved = [weight.detach().clone() for weight in weights]
    for weight in weights:
        weight.grad *= 2**16  # a loss scale
    with climbed(weights, 0.1, adaptive):
        for weight, same in zip(weights, moved, strict=True):
            torch.testing.assert_close(weight.data, same)


def test_weights_come_back_after_a_failure(weights):
    with pytest.raises(KeyboardInterrupt), climbed(weights, rho=0.1, adaptive=False):
        raise KeyboardInterrupt
    assert weights[1].item() == 0.5


def test_running_statistics_stay():
    norm = nn.BatchNorm2d(2)
    with unchanged_buffers(norm):
        norm(torch.randn(4, 2, 3, 3) + 5)
    assert norm.running_mean.tolist() == [0, 0] and norm.num_batches_tracked == 0
