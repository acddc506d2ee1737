import pytest

from src.schemas import TrainerConfig
from src.training.sizes import size_at, work_until


def test_sizes_rise_over_the_run():
    settings = TrainerConfig(sizes=[[0.15, 20], [0.5, 24]])
    assert [size_at(done, settings) for done in (0, 0.1499, 0.15, 0.4999, 0.5, 0.99)] == [20, 20, 24, 24, None, None]
    assert size_at(0, TrainerConfig()) is None


def test_small_images_are_less_work():
    assert work_until(0.25, TrainerConfig(), image_size=32) == 0.25
    settings = TrainerConfig(sizes=[[0.5, 16]])
    whole = 0.5 * 16**1.4 + 0.5 * 32**1.4
    shares = [work_until(done, settings, image_size=32) for done in (0, 0.25, 0.5, 0.75, 1)]
    assert shares == pytest.approx([0, 0.25 * 16**1.4 / whole, 0.5 * 16**1.4 / whole, 1 - 0.25 * 32**1.4 / whole, 1])
