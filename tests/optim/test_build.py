import pytest
import torch
from torch import nn

from src.optim.build import parameter_groups
from src.optim.muon import Muon


def network() -> nn.Module:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2), nn.Linear(2, 2))
    layers[4].requires_grad_(False)
    return layers


def ids(weights) -> list[int]:
    return [id(weight) for weight in weights]


def test_one_list_of_all_trainable_weights():
    layers = network()
    assert ids(parameter_groups(layers, decay_norms_and_biases=True)) == ids([*layers[:4].parameters()])


def test_norms_and_biases_are_a_group_without_decay():
    layers = network()
    conv, norm, _, dense, _ = layers
    decayed, others = parameter_groups(layers, decay_norms_and_biases=False)
    assert decayed.keys() == {"params"} and ids(decayed["params"]) == ids([conv.weight, dense.weight])
    assert others["weight_decay"] == 0
    assert ids(others["params"]) == ids([conv.bias, norm.weight, norm.bias, dense.bias])


@pytest.mark.parametrize(
    "make",
    [
        lambda weights: torch.optim.SGD(weights, lr=0.1, weight_decay=0.5),
        lambda weights: torch.optim.AdamW(weights, lr=0.1, weight_decay=0.5, fused=True),
        lambda weights: Muon(weights, 0.1, 0.6, 3, 0.1, 0.85, weight_decay=0.5),
    ],
)
def test_only_matrices_shrink_where_gradients_are_zero(make):
    layers = network()
    optimizer = make(parameter_groups(layers, decay_norms_and_biases=False))
    before = [weight.detach().clone() for weight in layers.parameters()]
    for weight in layers.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    changed = [not torch.equal(weight, old) for weight, old in zip(layers.parameters(), before, strict=True)]
    assert changed == [True, False, False, False, True, False, False, False]  # kernels and matrices that are trained


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RMSprop", "Adagrad", "Adadelta"])
def test_optimizers_take_a_network_without_norms_and_biases(name):
    layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    optimizer = getattr(torch.optim, name)(parameter_groups(layers, decay_norms_and_biases=False), lr=0.1)
    before = layers[1].weight.detach().clone()
    layers(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    assert not torch.equal(layers[1].weight, before)


def test_parts_have_learning_rates_of_their_own():
    layers = network()
    conv, norm, _, dense, _ = layers
    rest, first, second = parameter_groups(layers, True, {"0": 0.1, "3": 0.2, "3.bias": 0.1})
    assert "lr" not in rest and ids(rest["params"]) == ids(norm.parameters())
    assert first["lr"] == 0.1 and ids(first["params"]) == ids([*conv.parameters(), dense.bias])
    assert second["lr"] == 0.2 and ids(second["params"]) == ids([dense.weight])


def test_norms_of_parts_are_not_decayed_either():
    groups = parameter_groups(network(), False, {"0": 0.1})
    assert [(group.get("lr"), group.get("weight_decay")) for group in groups] == [
        (None, None), (None, 0.0), (0.1, None), (0.1, 0.0),
    ]  # fmt: skip


def test_muon_refuses_learning_rates_of_parts():
    with pytest.raises(ValueError, match="takes none of parts"):
        Muon(parameter_groups(network(), True, {"3": 0.1}), 0.1, 0.6, 3, 0.1, 0.85, weight_decay=0.5)
