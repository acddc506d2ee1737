import pytest
import torch
from torch.nn import functional as F

from src.models import tiny_image_conv
from src.models.tiny_image_conv import TinyImageConv2d, convolve_windows


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (1, 3), (4, 5)])
def test_windows_are_the_convolution_with_the_same_gradients(size, memory_format):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5, 4, *size, generator=generator, dtype=torch.float64).to(memory_format=memory_format)
    weight = torch.randn(6, 4, 3, 3, generator=generator, dtype=torch.float64).to(memory_format=memory_format)
    images.requires_grad_()
    weight.requires_grad_()
    windows, reference = convolve_windows(images, weight), F.conv2d(images, weight, padding=1)
    torch.testing.assert_close(windows, reference)
    upstream = torch.randn(reference.shape, generator=generator, dtype=torch.float64)
    for ours, theirs in zip(
        *(torch.autograd.grad(o, (images, weight), upstream) for o in (windows, reference)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("size", "training", "is_tiny"), [(3, True, True), (3, False, False), (4, True, False)])
def test_only_training_on_tiny_images_takes_windows(monkeypatch, size, training, is_tiny):
    taken = []
    monkeypatch.setattr(tiny_image_conv, "convolve_windows", lambda images, weight: taken.append(images) or images)
    TinyImageConv2d(4, 6).train(training)(torch.zeros(2, 4, size, size))
    assert bool(taken) == is_tiny


def test_has_the_shape_of_pytorchs_convolution():
    convolution = TinyImageConv2d(4, 6)
    assert convolution(torch.zeros(2, 4, 3, 2)).shape == (2, 6, 3, 2)
    assert [(name, weight.shape) for name, weight in convolution.named_parameters()] == [("weight", (6, 4, 3, 3))]
