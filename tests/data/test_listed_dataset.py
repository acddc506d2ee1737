import logging

import pytest
import torch

from src.config import DataConfig
from src.data.image_folder import image_folder
from src.data.split import split
from src.errors import UserError
from tests.data.images import write_classes, write_image


def test_without_test_images_a_share_of_each_class_is_split_off_and_stays(tmp_path, caplog):
    write_classes(tmp_path, 20)
    with caplog.at_level(logging.INFO, logger="cifarlab"):
        data = image_folder(str(tmp_path), image_size=8)
    assert data.test.labels.bincount().tolist() == [4, 4] and data.train.labels.bincount().tolist() == [16, 16]
    assert "there are no test images: 8 images, 20 % of each class, are the test set" in caplog.text
    names = {data.test.images.cache.encoded.name(index) for index in data.test.images.indices.tolist()}
    write_image(tmp_path / "red" / "new.png")
    again = image_folder(str(tmp_path), image_size=8)
    later = {again.test.images.cache.encoded.name(index) for index in again.test.images.indices.tolist()}
    assert len(names - later) <= 1  # a new image replaces one at most
    assert len(image_folder(str(tmp_path), image_size=8, test_share=0.5).test) == 20


def test_the_test_images_do_not_depend_on_where_the_folder_lies(tmp_path):
    chosen = []
    for place in ("here", "there"):
        write_classes(tmp_path / place, 20)
        data = image_folder(str(tmp_path / place), image_size=8)
        chosen.append(data.test.images.indices.tolist())
    assert chosen[0] == chosen[1]


def test_a_folder_val_beside_test_is_held_out(tmp_path):
    for part, count in (("train", 5), ("val", 3), ("test", 2)):
        write_classes(tmp_path / part, count)
    data = image_folder(str(tmp_path), image_size=8)
    splits = split(data, DataConfig(holdout=1))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (10, 6, 4)
    names = [data.train.images.cache.encoded.name(index) for index in splits.validation.images.indices.tolist()]
    assert all("/val/" in name for name in names)
    assert len(split(data, DataConfig(validation="none")).train) == 16


def test_what_was_found_is_said(tmp_path, caplog):
    write_classes(tmp_path / "train", 2, ("blue",))
    write_classes(tmp_path / "train", 8, ("red",))
    write_classes(tmp_path / "test", 1)
    with caplog.at_level(logging.INFO, logger="cifarlab"):
        image_folder(str(tmp_path), image_size=8)
    assert "2 classes, images: 10 in train, 2 in test; for training 2 (blue) to 8 (red) of each class" in caplog.text
    assert "the classes are unequal: data.balanced_sampling=true or loss=balanced_cross_entropy" in caplog.text


def test_limit_limits_what_is_read(tmp_path):
    write_classes(tmp_path / "train", 30)
    write_classes(tmp_path / "test", 2)
    data = image_folder(str(tmp_path), image_size=8)
    splits = split(data, DataConfig(holdout=2, limit=6))
    for part in (splits.train, splits.validation, splits.test):
        part.images.read()
    assert int((data.train.images.cache.state != 0).sum()) == 6 + 4 + 4
    assert torch.equal(splits.train.images[:][:, 2, 0, 0] == 255, splits.train.labels == 0)


def test_a_class_with_one_image_cannot_be_split(tmp_path):
    write_classes(tmp_path, 3)
    write_image(tmp_path / "green" / "0.png")
    with pytest.raises(UserError, match="green has one image only; a class needs"):
        image_folder(str(tmp_path), image_size=8)


def test_a_file_in_val_and_test_is_refused(tmp_path):
    for part in ("train", "val", "test"):
        write_classes(tmp_path / part, 2)
    (tmp_path / "test" / "red" / "x.png").hardlink_to(tmp_path / "val" / "red" / "0.png")
    with pytest.raises(UserError, match="are the same file in test and val; remove one of them"):
        image_folder(str(tmp_path), image_size=8)


def test_a_large_test_share_leaves_an_image_to_train_on(tmp_path):
    write_classes(tmp_path, 2)
    data = image_folder(str(tmp_path), image_size=8, test_share=0.99)
    assert data.train.labels.tolist() == data.test.labels.tolist() == [0, 1]
