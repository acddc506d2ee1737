import numpy as np
import pytest
import torch
from PIL import Image

from src.config import DataConfig
from src.data import image_batches, image_inputs
from src.data.decoding import read_image
from src.data.image_inputs import batch_images
from src.errors import UserError


@pytest.fixture
def paths(tmp_path):
    """Three images of different sizes and modes; one lies on its side by EXIF."""
    Image.effect_noise((30, 20), 60).save(tmp_path / "gray.png")
    Image.new("RGBA", (9, 16), (200, 30, 30, 100)).save(tmp_path / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.effect_noise((40, 25), 60).convert("RGB").save(tmp_path / "turned.jpg", exif=exif)
    return [tmp_path / name for name in ("gray.png", "clear.png", "turned.jpg")]


def batched(images, size: int = 8) -> torch.Tensor:
    return torch.cat(list(batch_images(images, DataConfig(image_size=size))))


def test_paths_and_opened_images_are_preprocessed_like_files(paths):
    expected = torch.stack([read_image(path, 8) for path in paths])
    assert torch.equal(batched(paths), expected)
    assert torch.equal(batched([str(path) for path in paths]), expected)
    assert torch.equal(batched([Image.open(path) for path in paths]), expected)
    assert torch.equal(batched(paths[0]), expected[:1])
    assert torch.equal(batched(Image.open(paths[0])), expected[:1])


def test_an_opened_file_that_was_cut_off_is_one_sentence(paths, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(paths[2].read_bytes()[:-200])
    with pytest.raises(UserError, match=r"an image cannot be read: image file is truncated"):
        batched(Image.open(tmp_path / "cut.jpg"))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (20, 11)])
def test_arrays_may_have_their_channels_first_or_last(height, width):
    last = np.random.default_rng(0).integers(0, 256, (5, height, width, 3), dtype=np.uint8)
    first = torch.from_numpy(last).permute(0, 3, 1, 2)
    files = torch.cat([batched(Image.fromarray(image)) for image in last])
    for images in (last, last[:, ::-1][:, ::-1], torch.from_numpy(last), first, first.numpy()):
        assert torch.equal(batched(images), files)


def test_batches_are_small_and_keep_the_order(paths, monkeypatch):
    for module in (image_batches, image_inputs):
        monkeypatch.setattr(module, "BATCH_SIZE", 2)
    for images in (paths, [Image.open(path) for path in paths], batched(paths)):
        batches = list(batch_images(images, DataConfig(image_size=8)))
        assert list(map(len, batches)) == [2, 1] and torch.equal(torch.cat(batches), batched(paths))


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ([], "this is a list of nothing"),
        (3, "this is of the type int"),
        (np.array(["a.png"]), r"has the shape \(1,\) and is <U5"),
        (["a.png", 3], "this is a list of int, str"),
        (torch.zeros(2, 3, 8, 8), "is float32"),
        (np.zeros((3, 8, 8), np.uint8), r"has the shape \(3, 8, 8\)"),
        (np.zeros((2, 8, 8), np.uint16), r"has the shape \(2, 8, 8\) and is uint16"),
        (np.zeros((0, 3, 8, 8), np.uint8), r"has the shape \(0, 3, 8, 8\)"),
        (np.zeros((2, 8, 3, 8), np.uint8), r"has the shape \(2, 8, 3, 8\)"),
        ("nowhere.png", r"nowhere.png cannot be read as an image \(there is no file\)"),
        (Image.fromarray(np.full((4, 4), np.nan, np.float32)), "an image of mode F cannot be used: some of its pixels"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(images, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        batched(images)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)
