import os

import numpy as np
import pytest
import torch

from src.data import image_cache
from src.data.image_cache import ImageCache, choose_cache_folder
from src.data.image_rows import ImageRows, read_rows
from src.errors import Interrupted, UserError
from tests.data.images import write_image


class Files:
    """Images whose file number is their shade of red; counts how often each is decoded."""

    def __init__(self, folder, count=6, identity="a"):
        self.paths = [str(write_image(folder / f"{number}.png", (number, 0, 0))) for number in range(count)]
        self.identity, self.asked = identity, []

    def __len__(self):
        return len(self.paths)

    def name(self, index):
        return self.paths[index]

    def encoded(self, index):
        self.asked.append(index)
        return self.paths[index]


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "files")


@pytest.fixture
def cache(files, tmp_path):
    return ImageCache(files, 8, "crop", tmp_path / "cache")


def test_only_what_is_needed_is_decoded_and_only_once(files, cache, tmp_path):
    rows = ImageRows(cache, torch.tensor([4, 1]))
    assert rows[:][:, 0, 0, 0].tolist() == [4, 1] and files.asked == [4, 1]
    again = ImageRows(ImageCache(files, 8, "crop", tmp_path / "cache"), torch.tensor([1, 2, 4]))
    assert again[:][:, 0, 0, 0].tolist() == [1, 2, 4] and files.asked == [4, 1, 2]


def test_another_identity_reads_all_again(files, cache, tmp_path):
    cache.fill(torch.arange(6))
    write_image(tmp_path / "files" / "0.png", (77, 0, 0))
    files.identity = "b"
    changed = ImageCache(files, 8, "crop", tmp_path / "cache")
    assert ImageRows(changed, torch.arange(6))[:][:, 0, 0, 0].tolist() == [77, 1, 2, 3, 4, 5]
    assert cache.images[0, 0, 0, 0] == 0  # the run that still uses the old images keeps them


@pytest.mark.parametrize("name", ["images", "index.pt"])
def test_a_missing_file_of_the_cache_is_made_again(files, cache, tmp_path, name):
    cache.fill(torch.arange(6))
    (tmp_path / "cache" / name).unlink()
    again = ImageCache(files, 8, "crop", tmp_path / "cache")
    assert ImageRows(again, torch.arange(6))[:][:, 0, 0, 0].tolist() == list(range(6))


def test_a_damaged_index_says_what_to_remove(files, cache, tmp_path):
    cache.fill(torch.arange(6))
    (tmp_path / "cache" / "index.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"index\.pt is damaged.*remove .*cache: the images are read again"):
        ImageCache(files, 8, "crop", tmp_path / "cache")


def test_an_interrupted_reading_keeps_what_it_has_read(files, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("src.data.decoding.CHUNK_BYTES", 1)  # one image at a time
    calls = []

    def stop():
        calls.append(0)
        if len(calls) == 3:
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        cache.fill(torch.arange(6), stop)
    again = ImageCache(files, 8, "crop", tmp_path / "cache")
    again.fill(torch.arange(6))
    assert files.asked == [0, 1, 2, 3, 4, 5]
    assert again.images[:, 0, 0, 0].tolist() == list(range(6))


def test_a_second_process_finds_what_the_first_has_decoded(files, tmp_path):
    """Both open an empty cache; the later one looks again once it may write."""
    first, second = (ImageCache(files, 8, "crop", tmp_path / "cache") for _ in range(2))
    first.fill(torch.arange(6))
    second.fill(torch.arange(6))
    assert files.asked == list(range(6)) and torch.equal(first.images, second.images)


def test_a_full_disk_is_told_before_it_is_full(files, cache, monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"take 0\.00 GB, but .* has 0\.00 GB free; choose another folder with data"):
        cache.fill(torch.arange(6))


def test_room_that_an_interrupted_reading_has_reserved_is_free(files, tmp_path, monkeypatch):
    monkeypatch.setattr("src.data.decoding.CHUNK_BYTES", 1)  # one image at a time
    large = ImageCache(files, 64, "crop", tmp_path / "large")  # 12 KB each

    def stop():
        raise Interrupted(15)

    with pytest.raises(Interrupted):
        large.fill(torch.arange(6), stop)
    again = ImageCache(files, 64, "crop", tmp_path / "large")
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    again.fill(torch.arange(6))
    assert files.asked == list(range(6))


def test_images_that_cannot_be_read_are_named_by_all_who_need_them(files, cache, tmp_path):
    (tmp_path / "files" / "3.png").write_bytes(b"")
    ImageRows(cache, torch.arange(3)).read()
    with pytest.raises(UserError, match=r"1 image cannot be read: .*/3\.png \(the file is empty\); replace or"):
        read_rows([ImageRows(cache, torch.tensor([0])), ImageRows(cache, torch.tensor([3]))])
    again = ImageCache(files, 8, "crop", tmp_path / "cache")
    assert list(again.broken(torch.arange(6))) == [files.paths[3]]


def test_rows_answer_as_a_tensor_does(cache):
    rows, tensor = ImageRows(cache, torch.tensor([5, 0, 2])), torch.tensor([5, 0, 2])
    assert rows.shape == (3, 3, 8, 8) and rows.nbytes == 3 * 192 and len(rows) == 3
    assert rows[1][0, 0, 0] == 0 and rows[-1][0, 0, 0] == 2
    assert rows[tensor > 1][:, 0, 0, 0].tolist() == [5, 2]
    assert rows.index_select(0, torch.tensor([2, 0]))[:, 0, 0, 0].tolist() == [2, 5]
    assert [part[:][:, 0, 0, 0].tolist() for part in rows.split(2)] == [[5, 0], [2]]
    assert rows.part(torch.tensor([1]))[:][:, 0, 0, 0].tolist() == [0]
    assert rows.to(torch.device("cpu"))[:, 0, 0, 0].tolist() == [5, 0, 2]


def test_the_file_takes_no_more_room_than_its_images(files, tmp_path):
    cache = ImageCache(files, 64, "crop", tmp_path / "cache")
    cache.fill(torch.tensor([0]))
    assert os.stat(tmp_path / "cache" / "images").st_blocks * 512 < np.prod(cache.shape) / 2


def test_the_folder_is_beside_the_images_or_where_the_user_says(tmp_path, monkeypatch):
    root = tmp_path / "images"
    root.mkdir()
    assert choose_cache_folder(str(root), None, 64, "crop") == root / ".cifarlab" / "64px-crop"
    (root / "a.csv").write_text("")
    assert choose_cache_folder(str(root / "a.csv"), None, 64, "crop") == root / ".cifarlab" / "a.csv-64px-crop"
    chosen = choose_cache_folder(str(root), str(tmp_path / "c"), 64, "letterbox")
    assert chosen.parts[-1] == "64px-letterbox" and chosen.parent.parent == tmp_path / "c"
    monkeypatch.setattr(image_cache.os, "access", lambda *_: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert choose_cache_folder(str(root), None, 64, "crop").is_relative_to(tmp_path / "home" / "cifarlab")
