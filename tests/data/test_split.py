from dataclasses import replace

import pytest
import torch

from src.config import DataConfig
from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.data.split import fold, holdout, limit, split
from src.errors import UserError

LABELS = torch.arange(10).repeat_interleave(20)[torch.randperm(200, generator=torch.Generator().manual_seed(0))]


def test_holdout_takes_equally_many_of_each_class():
    train, validation = holdout(LABELS, per_class=3, seed=0)
    assert torch.bincount(LABELS[validation]).tolist() == [3] * 10
    assert sorted([*train.tolist(), *validation.tolist()]) == list(range(200))
    assert not torch.equal(validation, holdout(LABELS, per_class=3, seed=1)[1])


def test_folds_partition_the_images_and_are_stratified():
    parts = [fold(LABELS, index, folds=4, seed=0) for index in range(4)]
    assert sorted(torch.cat([validation for _, validation in parts]).tolist()) == list(range(200))
    for train, validation in parts:
        assert torch.bincount(LABELS[validation]).tolist() == [5] * 10
        assert not set(train.tolist()) & set(validation.tolist())
        assert len(train) + len(validation) == 200


def test_limit_is_stratified_and_nested():
    small, large = limit(LABELS, 25, seed=0), limit(LABELS, 60, seed=0)
    assert sorted(torch.bincount(LABELS[small]).tolist()) == [2] * 5 + [3] * 5
    assert set(small.tolist()) < set(large.tolist())


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: holdout(LABELS, 20, 0), "data.holdout=20 would leave nothing"),
        (lambda: fold(LABELS, 0, 21, 0), "data.folds=21 is more than"),
        (lambda: limit(LABELS, 201, 0), "data.limit=201 is more than the 200"),
    ],
)
def test_impossible_splits_are_refused(call, complaint):
    with pytest.raises(UserError, match=complaint):
        call()


def dataset() -> ImageDataset:
    images = torch.arange(200, dtype=torch.uint8).view(200, 1, 1, 1).expand(200, 3, 2, 2)
    data = LabeledImages(images, LABELS)
    return ImageDataset(data, data, Classes(tuple("abcdefghij")))


@pytest.mark.parametrize(
    ("validation", "train", "held_out"), [("holdout", 150, 50), ("fold", 160, 40), ("test", 200, 0), ("none", 200, 0)]
)
def test_split_by_every_protocol(validation, train, held_out):
    parts = split(dataset(), DataConfig(validation=validation, holdout=5))
    assert (len(parts.train), len(parts.validation or ()), len(parts.test)) == (train, held_out, 200)


def test_of_a_pool_images_are_held_out_though_the_data_set_has_its_own():
    own = replace(dataset(), held_out=torch.arange(150, 200))
    assert split(own, DataConfig()).validation_indices.tolist() == list(range(150, 200))
    pool = split(own, DataConfig(holdout=2), torch.arange(150, 200))
    assert (len(pool.train), len(pool.validation)) == (30, 20)


def test_limit_comes_after_the_split_and_leaves_validation_alone():
    whole = split(dataset(), DataConfig(holdout=5))
    limited = split(dataset(), DataConfig(holdout=5, limit=30))
    assert torch.equal(whole.validation.images, limited.validation.images)
    assert len(limited.train) == 30
    held_out = set(limited.validation.images[:, 0, 0, 0].tolist())
    assert not held_out & set(limited.train.images[:, 0, 0, 0].tolist())
