import pytest
import torch

from src.models.resnet import Block, ResNet
from src.models.summary import summarize


@pytest.mark.parametrize(("depth", "published"), [(20, 0.27), (32, 0.46), (56, 0.85), (110, 1.7)])
def test_parameters_are_those_of_the_paper(depth, published):
    """He et al. 2016, table 6, in millions, for the ten classes of CIFAR-10."""
    count = sum(weight.numel() for weight in ResNet(depth, num_classes=10).parameters())
    assert count / 1e6 == pytest.approx(published, abs=0.04)


def test_layers_and_multiply_adds():
    network = ResNet(20, num_classes=100)
    summary = summarize(network, 32)
    assert sum(row.layer.startswith(("Conv2d", "Linear")) for row in summary.rows) == 20
    assert (summary.parameters, summary.multiply_adds) == (275_572, 40_556_800)


def test_a_shortcut_takes_every_other_pixel_and_adds_channels_of_zeros():
    block = Block(2, 6)
    torch.nn.init.zeros_(block.body[3].weight)
    x = torch.rand(1, 2, 4, 4)
    expected = torch.zeros(1, 6, 2, 2)
    expected[:, 2:4] = x[:, :, ::2, ::2]
    assert torch.equal(block(x), expected)


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match=f"depth={depth} must be 6 n"):
        ResNet(depth, num_classes=10)
