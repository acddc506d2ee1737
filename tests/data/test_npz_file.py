import numpy as np
import pytest

from src.config import DataConfig
from src.data.npz_file import npz_file
from src.data.split import split
from src.errors import UserError

RNG = np.random.default_rng(0)


def draw(count, *shape, classes=3):
    images = RNG.integers(0, 256, (count, *shape), dtype=np.uint8)
    return images, np.arange(count, dtype=np.uint8)[:, None] % classes


def save(path, **arrays):
    np.savez(path / "data.npz", **arrays)
    return str(path / "data.npz")


def test_medmnist_with_gray_images_and_its_own_validation_images(tmp_path):
    parts = {"train": draw(12, 10, 10), "val": draw(6, 10, 10), "test": draw(3, 10, 10)}
    arrays = {f"{part}_images": images for part, (images, _) in parts.items()}
    arrays |= {f"{part}_labels": labels for part, (_, labels) in parts.items()}
    data = npz_file(save(tmp_path, **arrays), 10)
    splits = split(data, DataConfig(holdout=1))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (12, 6, 3)
    assert data.classes.names == ("0", "1", "2")
    assert (splits.validation.images.numpy() == parts["val"][0][:, None]).all()
    assert splits.validation.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_keras_names_with_colors_are_resized(tmp_path):
    (x, y), (xt, yt) = draw(6, 12, 20, 3), draw(3, 12, 20, 3)
    data = npz_file(save(tmp_path, x_train=x, y_train=y[:, 0], x_test=xt, y_test=yt[:, 0], class_names=list("abc")), 12)
    assert data.train.images.shape == (6, 3, 12, 12) and data.classes.names == ("a", "b", "c")
    assert (data.train.images[0].permute(1, 2, 0).numpy() == x[0][:, 4:16]).all()


def test_names_may_be_bytes_and_are_printable(tmp_path):
    (x, y), (xt, yt) = draw(6, 8, 8), draw(3, 8, 8)
    names = np.array([b"cat", "dög".encode(), b"a\x1b"])
    path = save(tmp_path, x_train=x, y_train=y, x_test=xt, y_test=yt, class_names=names)
    assert npz_file(path, 8).classes.names == ("cat", "dög", r"a\x1b")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"x_train": draw(3, 8, 8)[0]},
            "has no train images: it needs the arrays train_images and train_labels or x_train",
        ),
        ({"x_train": draw(3, 8)[0], "y_train": draw(3, 8)[1]}, r"x_train has the shape \(3, 8\) of uint8; images are"),
        ({"x_train": draw(3, 8, 8)[0] / 255.0, "y_train": draw(3, 8)[1]}, "of float64; images are"),
        (
            {"x_train": draw(3, 8, 8)[0], "y_train": draw(4, 8)[1]},
            r"y_train has the shape \(4, 1\) of uint8; labels are",
        ),
        ({"x_train": draw(3, 8, 8)[0], "y_train": np.eye(3)}, "labels are one integer"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, arrays, sentence):
    with pytest.raises(UserError, match=sentence):
        npz_file(save(tmp_path, **arrays), 8)


def test_what_is_no_numpy_file_is_refused(tmp_path):
    (tmp_path / "a.npz").write_text("no archive")
    with pytest.raises(UserError, match=r"a\.npz cannot be read as a NumPy file"):
        npz_file(str(tmp_path / "a.npz"), 8)
