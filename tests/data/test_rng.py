import torch

from src.data.rng import AUGMENTATION, FLIP_SIDE, ORDER, TRANSFORM, derive_seed, make_generator


def test_places_do_not_collide():
    seeds = {derive_seed(seed, epoch, step) for seed in range(10) for epoch in range(10) for step in range(100)}
    assert len(seeds) > 9990  # 10,000 places in 32 bits: 0.01 collisions are expected


def test_numbers_stay_the_same_between_versions():
    assert (ORDER, AUGMENTATION, TRANSFORM, FLIP_SIDE) == (0, 1, 2, 3)
    assert derive_seed(0, 0, 0, ORDER) == 2968811710


def test_equal_places_give_equal_draws():
    first, again, other = (torch.rand(4, generator=make_generator(*place)) for place in ((1, 2), (1, 2), (2, 1)))
    assert torch.equal(first, again) and not torch.equal(first, other)
