import pytest
import torch

from src.data.dataset import fingerprint
from src.data.synthetic import synthetic
from src.errors import UserError


def test_equal_arguments_give_equal_images_and_seeds_differ():
    first, again, other = (synthetic(300, 100, 32, seed) for seed in (0, 0, 1))
    assert fingerprint(first.train, first.test) == fingerprint(again.train, again.test)
    assert fingerprint(first.train) != fingerprint(other.train)


def test_classes_shapes_and_balance():
    data = synthetic(300, 100, 24, 0)
    assert data.train.images.shape == (300, 3, 24, 24) and data.train.images.dtype == torch.uint8
    assert len(data.classes.names) == 100 and len(data.classes.superclass_names) == 10
    assert torch.bincount(data.train.labels).tolist() == [3] * 100
    assert data.classes.names[0] == "checked_bars"
    assert data.classes.superclass_names[data.classes.superclass_of[0]] == "bars"


def test_classes_of_unequal_size_are_refused():
    with pytest.raises(UserError, match=r"train_images=650 must be a multiple of 100"):
        synthetic(650, 100, 32, 0)


def test_no_two_images_are_alike():
    images = synthetic(500, 100, 32, 0).train.images.flatten(1)
    assert len(torch.unique(images, dim=0)) == 500
    assert images.float().std(dim=1).min() > 5  # none is empty
