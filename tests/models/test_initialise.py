import math

import torch
from torch import nn

from src.models.initialise import keras


def test_keras_draws_glorot_uniform_kernels_and_zero_biases():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(16, 32, 3), nn.Flatten(), nn.Linear(400, 200))
    keras(network)
    for layer, fan_in, fan_out in ((network[0], 16 * 9, 32 * 9), (network[2], 400, 200)):
        bound = math.sqrt(6 / (fan_in + fan_out))
        assert layer.weight.abs().max() <= bound
        assert abs(layer.weight.std().item() - bound / math.sqrt(3)) < 0.02 * bound
        assert (layer.bias == 0).all()


def test_torch_default_differs(composed):
    from src.config import build

    assert (build(composed(), "model").head[2].bias == 0).all()
    assert (build(composed("model.init=torch"), "model").head[2].bias != 0).any()
