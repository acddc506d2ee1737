import torch
from torch import nn

from src.models.summary import summarise


def test_counts_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    summary = summarise(network, image_size=8)
    conv, flatten, linear = summary.rows
    assert (conv.layer, conv.parameters, conv.multiply_adds) == ("Conv2d 3x3 + ReLU", 108, 8 * 8 * 4 * 27)
    assert (flatten.parameters, flatten.multiply_adds) == (0, 0)
    assert (linear.parameters, linear.multiply_adds) == (2570, 2560)
    assert "2,678 trainable parameters" in str(summary)


def test_totals_are_the_networks_whatever_took_part_in_the_pass():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(5))
            self.twice = nn.Linear(12, 12)
            self.unused = nn.Linear(3, 3)

        def forward(self, images):
            return self.twice(self.twice(images.flatten(1))) * self.scale.sum()

    summary = summarise(Odd(), image_size=2)
    assert summary.parameters == 5 + 156 + 12
    assert [(row.layer, row.parameters) for row in summary.rows] == [("Linear", 156), ("Linear", 0), ("(other)", 17)]


def test_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    summarise(network, image_size=8)
    assert network.training and all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(layer._forward_hooks for layer in network.modules())


def test_frozen_parameters_are_not_trainable():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).requires_grad_(False)
    summary = summarise(network, 2)
    assert (summary.parameters, summary.frozen, summary.statistics) == (0, 26, 0)
    assert "0 trainable parameters + 26 frozen + 0 running statistics" in str(summary)
