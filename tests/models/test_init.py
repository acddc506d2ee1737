import math

import torch
from torch import nn

from src.models.init import keras_, keras_dirac_
from src.targets import build


def test_keras_draws_glorot_uniform_kernels_and_zero_biases():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(16, 32, 3), nn.Flatten(), nn.Linear(400, 200))
    keras_(network)
    for layer, fan_in, fan_out in ((network[0], 16 * 9, 32 * 9), (network[2], 400, 200)):
        bound = math.sqrt(6 / (fan_in + fan_out))
        assert layer.weight.abs().max() <= bound
        assert abs(layer.weight.std().item() - bound / math.sqrt(3)) < 0.02 * bound
        assert (layer.bias == 0).all()


def test_pytorchs_own_initialization_differs(config_of):
    assert (build(config_of().model, "model").head[2].bias == 0).all()
    assert (build(config_of("model.init=torch").model, "model").head[2].bias != 0).any()


def test_dirac_copies_the_first_channels():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1), nn.Flatten())
    keras_dirac_(network)
    images = torch.rand(2, 3, 6, 6)
    first = network[0](images)
    assert torch.allclose(first[:, :3], images) and not torch.allclose(first[:, 3:6], images)
    assert torch.allclose(network[1](first), first[:, :4])
    assert (network[0].bias == 0).all()
