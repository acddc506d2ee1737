import copy

import pytest
import torch
from torch import nn

from src.training.ranks import ALONE
from src.training.sync_batch_norm import SyncedBatchNorm, synchronize_batch_norms
from tests.training.ranks import in_ranks


def step(norm, inputs, weights):
    """Outputs, gradient of the inputs, gradient of the scale, and running variance after one pass."""
    inputs = inputs.clone().requires_grad_()
    outputs = norm(inputs)
    (outputs * weights).sum().backward()
    return outputs.detach(), inputs.grad, norm.weight.grad, norm.running_mean, norm.running_var


@pytest.mark.parametrize("momentum", [0.1, None])
def test_alone_it_is_pytorchs(momentum):
    theirs = nn.BatchNorm2d(5, momentum=momentum, eps=1e-3)
    nn.init.normal_(theirs.weight)
    ours = SyncedBatchNorm(copy.deepcopy(theirs), ALONE)
    for _ in range(3):
        inputs, weights = torch.randn(7, 5, 4, 4) * 3 + 1, torch.randn(7, 5, 4, 4)
        theirs.weight.grad = ours.weight.grad = None
        for own, expected in zip(step(ours, inputs, weights), step(theirs, inputs, weights), strict=True):
            assert torch.allclose(own, expected, rtol=1e-4, atol=1e-5)
    assert torch.allclose(ours.eval()(inputs), theirs.eval()(inputs), atol=1e-5)


def test_the_rows_of_all_ranks_make_the_statistics(tmp_path):
    torch.manual_seed(0)
    inputs, weights = torch.randn(7, 5, 4, 4), torch.randn(7, 5, 4, 4)
    expected = step(nn.BatchNorm2d(5), inputs, weights)

    def work(ranks):
        return step(SyncedBatchNorm(nn.BatchNorm2d(5), ranks), ranks.own_rows(inputs), ranks.own_rows(weights))

    parts = list(zip(*in_ranks(3, tmp_path, work), strict=True))
    assert torch.allclose(torch.cat(parts[0]), expected[0], atol=1e-5)
    assert torch.allclose(torch.cat(parts[1]), expected[1], atol=1e-5)
    assert torch.allclose(sum(parts[2]), expected[2], atol=1e-4)
    for own, other in zip(parts[3] + parts[4], (expected[3],) * 3 + (expected[4],) * 3, strict=True):
        assert torch.allclose(own, other, atol=1e-6)


def test_a_single_value_per_channel_is_refused_as_by_pytorch():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        SyncedBatchNorm(nn.BatchNorm1d(3), ALONE)(torch.randn(1, 3))


def test_in_evaluation_nothing_is_exchanged(tmp_path):
    def work(ranks):
        norm = SyncedBatchNorm(nn.BatchNorm2d(3, track_running_stats=False), ranks).eval()
        return norm(torch.randn(2, 3, 4, 4)).shape if ranks.is_leader else None  # the other rank has no batch

    assert in_ranks(2, tmp_path, work) == [(2, 3, 4, 4), None]


def test_bfloat16_stays_bfloat16_with_statistics_in_float32():
    norm, inputs = SyncedBatchNorm(nn.BatchNorm2d(3), ALONE), torch.randn(64, 3, 8, 8) + 100
    outputs = norm(inputs.bfloat16())
    assert outputs.dtype == torch.bfloat16 and outputs.float().std().item() == pytest.approx(1, abs=0.05)


def test_all_batch_norms_of_a_network_are_replaced_and_keep_their_weights():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)))
    before = dict(network.named_parameters())
    synchronize_batch_norms(network, ALONE)
    assert [type(layer).__name__ for layer in network.modules()].count("SyncedBatchNorm") == 2
    after = dict(network.named_parameters())
    assert after.keys() == before.keys() and all(after[name] is before[name] for name in before)
    assert network(torch.randn(6, 3, 3, 3)).shape == (6, 4)
