import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from src.hardware import computes_bf16
from src.optim.muon import Muon, orthogonalize
from src.targets import build

SETTINGS = {"lr": 0.1, "momentum": 0.6, "newton_schulz_steps": 3, "sgd_lr": 0.2, "sgd_momentum": 0.85,
            "weight_decay": 0.0}  # fmt: skip


def with_gradients(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator)
    return weights


@pytest.mark.parametrize("shape", [(16, 8, 3, 3), (64, 4, 1, 1), (8, 3, 2, 2)])
def test_orthogonalized_filters_keep_their_directions_and_lose_their_scales(shape):
    filters = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    (result,) = orthogonalize([filters], steps=5)
    assert result.shape == shape and result.dtype == torch.float32
    left, _, right = torch.linalg.svd(filters.reshape(len(filters), -1), full_matrices=False)
    turned = left.T @ result.reshape(len(filters), -1) @ right.T
    assert torch.allclose(turned, torch.diag(turned.diagonal()), atol=1e-4)
    assert turned.diagonal().min() > 0.6 and turned.diagonal().max() < 1.3


def test_orthogonalization_does_not_see_the_scale():
    filters = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    one, scaled = orthogonalize([filters, 1000 * filters], 3)
    torch.testing.assert_close(one, scaled, rtol=1e-3, atol=1e-4)


def test_bfloat16_is_precise_enough_for_the_iteration():
    filters = torch.randn(32, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    (exact,), (rough,) = orthogonalize([filters], 3), orthogonalize([filters], 3, torch.bfloat16)
    assert rough.dtype == torch.float32 and 0 < (rough - exact).norm() / exact.norm() < 0.03


def test_filters_have_a_fixed_size_before_each_step():
    (filters,) = with_gradients((8, 4, 3, 3))
    direction = filters.detach() / filters.norm()
    gradient = filters.grad.clone()
    Muon([filters], **SETTINGS).step()
    dtype = torch.bfloat16 if computes_bf16(filters.device) else torch.float32
    (update,) = orthogonalize([gradient * 1.6], 3, dtype)  # the first step: the gradient, and 0.6 of itself as momentum
    torch.testing.assert_close(filters.detach(), direction * 8**0.5 - 0.1 * update)


def plain_orthogonalize(filters, steps):
    """Jordan et al. 2024, as it is written down there, one matrix (out, in * h * w) after the other."""
    matrix = filters.flatten(1)
    matrix = matrix / (matrix.norm() + 1e-7)
    for _ in range(steps):
        gram = matrix @ matrix.T
        matrix = 3.4445 * matrix + (-4.7750 * gram + 2.0315 * gram @ gram) @ matrix
    return matrix.reshape(filters.shape)


SHAPES = [(64, 24, 3, 3), (48, 64, 1, 1), (64, 48, 1, 1), (32, 3, 3, 3), (8, 4, 2, 2)]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_filters_step_as_they_are_written_down(monkeypatch, memory_format):
    monkeypatch.setattr("src.optim.muon.computes_bf16", lambda device: False)
    filters, plain = with_gradients(*SHAPES), [weight.detach() for weight in with_gradients(*SHAPES)]
    filters = [nn.Parameter(weight.detach().to(memory_format=memory_format)) for weight in filters]
    muon, buffers = Muon(filters, **SETTINGS), [torch.zeros(shape) for shape in SHAPES]
    for seed in range(3):
        for weight, expected, buffer, other in zip(
            filters, plain, buffers, with_gradients(*SHAPES, seed=seed), strict=True
        ):
            weight.grad = other.grad.to(memory_format=memory_format)
            buffer.mul_(0.6).add_(other.grad)
            expected.mul_(len(expected) ** 0.5 / expected.norm())
            expected.sub_(0.1 * plain_orthogonalize(other.grad + 0.6 * buffer, 3))
        muon.step()
    for weight, expected in zip(filters, plain, strict=True):
        assert (weight - expected).norm() / expected.norm() < 1e-4
        assert weight.is_contiguous(memory_format=memory_format)


class Dispatched(TorchDispatchMode):
    """Counts operations."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.slow
def test_a_step_of_the_speedrun_network_dispatches_few_operations(config_of):
    model = build(config_of("model=speedrun").model, "model").to(memory_format=torch.channels_last)
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight) if weight.requires_grad else None
    muon = Muon([weight for weight in model.parameters() if weight.requires_grad], **SETTINGS)
    muon.step()
    with Dispatched() as dispatched:
        muon.step()
    assert dispatched.count <= 190


def test_the_rest_steps_as_pytorchs_sgd_does():
    ours, theirs, filters = (with_gradients((5, 3), (7,)), with_gradients((5, 3), (7,)), with_gradients((4, 3, 3, 3)))
    muon = Muon([*ours, *filters], **{**SETTINGS, "weight_decay": 0.01})
    sgd = torch.optim.SGD(theirs, lr=0.2, momentum=0.85, nesterov=True)
    for _ in range(4):
        muon.step()
        for weight in theirs:
            weight.data.mul_(1 - 0.2 * 0.01)
        sgd.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_groups_of_parameters_keep_their_own_weight_decay():
    settings = {**SETTINGS, "weight_decay": 0.5}
    filters, dense, bias = with_gradients((4, 3, 3, 3), (5, 3), (7,))
    muon = Muon([{"params": [filters, dense]}, {"params": [bias], "weight_decay": 0.0}], **settings)
    assert [group["weight_decay"] for group in muon.param_groups] == [0.0, 0.5, 0.0]
    assert [group["lr"] for group in muon.param_groups] == [0.1, 0.2, 0.2]
    muon.step()
    flat, flat_dense, flat_bias = with_gradients((4, 3, 3, 3), (5, 3), (7,))
    Muon([flat, flat_dense, flat_bias], **settings).step()
    assert torch.equal(filters, flat) and torch.equal(dense, flat_dense)
    torch.testing.assert_close(bias, flat_bias + 0.2 * 0.5 * with_gradients((4, 3, 3, 3), (5, 3), (7,))[2])


def test_a_schedule_moves_both_rates_and_state_comes_back():
    first = with_gradients((4, 3, 3, 3), (7,))
    muon = Muon(first, **SETTINGS)
    schedule = torch.optim.lr_scheduler.LambdaLR(muon, lambda step: 0.5)
    assert [group["lr"] for group in muon.param_groups] == [0.05, 0.1]
    muon.step()
    schedule.step()
    second = [nn.Parameter(weight.detach().clone()) for weight in first]
    for weight, other in zip(second, first, strict=True):
        weight.grad = other.grad.clone()
    again = Muon(second, **SETTINGS)
    again.load_state_dict(copy.deepcopy(muon.state_dict()))
    muon.step()
    again.step()
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({"lr": -1}, "lr=-1"), ({"momentum": 1}, "momentum=1"), ({"newton_schulz_steps": 0}, "newton_schulz_steps=0")],
)
def test_values_are_checked(settings, problem):
    with pytest.raises(ValueError, match=problem):
        Muon(with_gradients((4, 3, 3, 3)), **{**SETTINGS, **settings})


def test_a_network_without_filters_is_refused():
    with pytest.raises(ValueError, match="no convolutions that are trained"):
        Muon(with_gradients((4, 3)), **SETTINGS)


def test_groups_without_filters_are_refused():
    with pytest.raises(ValueError, match="no convolutions that are trained"):
        Muon([{"params": with_gradients((4, 3))}, {"params": with_gradients((4,)), "weight_decay": 0.0}], **SETTINGS)
    with pytest.raises(ValueError, match="no convolutions that are trained"):
        Muon([], **SETTINGS)
