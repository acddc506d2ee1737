import pytest
import torch
from torchvision.transforms.v2 import functional as transforms

from src.training.progressive_resizing import cost_until, resize_batch, size_at

STAGES = [[0.15, 20], [0.5, 24]]


def test_sizes_rise_over_the_run():
    assert [size_at(done, STAGES) for done in (0, 0.1499, 0.15, 0.4999, 0.5, 0.99)] == [20, 20, 24, 24, None, None]
    assert size_at(0, []) is None


def test_images_are_resized_and_full_size_is_left_alone():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert resize_batch(images, None) is images
    torch.testing.assert_close(resize_batch(images, 5), transforms.resize(images, [5, 5], antialias=True))
    torch.testing.assert_close(resize_batch(torch.full_like(images, 0.7), 4), torch.full((2, 3, 4, 4), 0.7))


def test_small_images_cost_less():
    assert cost_until(0.25, [], image_size=32) == 0.25
    whole = 0.5 * 16**1.4 + 0.5 * 32**1.4
    shares = [cost_until(done, [[0.5, 16]], image_size=32) for done in (0, 0.25, 0.5, 0.75, 1)]
    assert shares == pytest.approx([0, 0.25 * 16**1.4 / whole, 0.5 * 16**1.4 / whole, 1 - 0.25 * 32**1.4 / whole, 1])
