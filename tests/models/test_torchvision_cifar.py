import pytest
import torch
from torch import nn

from src.models.summary import summarize
from src.models.torchvision_cifar import torchvision_cifar
from tests.conftest import mostly_slow

# Millions; the first four of github.com/weiaicunzai/pytorch-cifar100, the others of chenyaofo/pytorch-cifar-models.
PUBLISHED = [
    ("resnet18", 11.2, None),
    ("resnet34", 21.3, None),
    ("resnet50", 23.7, None),
    ("densenet121", 7.0, None),
    ("mobilenet_v2", 2.35, 88.09),
    ("shufflenet_v2_x1_0", 1.36, 45.09),
]


@pytest.mark.parametrize(("name", "parameters", "multiply_adds"), PUBLISHED)
def test_networks_have_the_published_numbers(name, parameters, multiply_adds):
    network = torchvision_cifar(name, num_classes=100)
    summary = summarize(network, 32)
    assert summary.parameters / 1e6 == pytest.approx(parameters, abs=0.06)
    if multiply_adds:
        assert summary.multiply_adds / 1e6 == pytest.approx(multiply_adds, abs=0.01)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 100)


def test_resnets_begin_with_3x3_pixels_at_full_size():
    network = torchvision_cifar("resnet18", num_classes=7)
    first = network.conv1
    assert (first.kernel_size, first.stride, first.padding, first.bias) == ((3, 3), (1, 1), (1, 1), None)
    assert isinstance(network.maxpool, nn.Identity)
    assert network.layer1(torch.zeros(1, 64, 32, 32)).shape[2:] == (32, 32)


@pytest.mark.parametrize("name", mostly_slow(["mobilenet_v2", "resnet18"], quick=1))
def test_logits_are_float32_under_autocast(name):
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torchvision_cifar(name, num_classes=7).eval()(torch.zeros(1, 3, 32, 32)).dtype == torch.float32


@pytest.mark.parametrize("name", mostly_slow(["regnet_y_400mf", "convnext_tiny", "vgg16"], quick=1))
def test_networks_that_begin_otherwise_are_refused(name):
    with pytest.raises(ValueError, match=f"name={name} does not begin with a convolution of stride 2"):
        torchvision_cifar(name, num_classes=10)
