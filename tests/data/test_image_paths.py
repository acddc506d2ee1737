import io
import os
import sys

import pytest
from PIL import Image

from src.data.image_paths import find_images
from src.errors import UserError


@pytest.fixture
def place(tmp_path):
    """A folder with an image and a text."""
    Image.new("RGB", (8, 8)).save(tmp_path / "red.png")
    (tmp_path / "words.txt").write_text("no image")
    return tmp_path


def test_images_are_found_in_the_home_folder_and_below(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    assert find_images("~/red.png") == [str(place / "red.png")]
    assert find_images("~/**/r*.png")[0] == str(place / "red.png")
    with pytest.raises(UserError, match="matches no file"):
        find_images("~/nowhere/*.png")


def test_a_name_with_brackets_is_a_file(place, monkeypatch):
    Image.new("RGB", (8, 8)).save(place / "cat[1].jpg")
    monkeypatch.chdir(place)
    assert find_images("cat[1].jpg") == ["cat[1].jpg"]
    with pytest.raises(UserError, match=r"images=dog\[1\]\.jpg matches no file; .*; write \[\[\] for a \[ in a name"):
        find_images("dog[1].jpg")


def test_brackets_of_a_folder_that_exists_are_its_name(tmp_path):
    for name in ("shots[1]/a.jpg", "shots[1]/below/b.jpg", "shots1/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "shots[1]" / "folder.jpg").mkdir()
    assert find_images(f"{tmp_path}/shots[1]/*.jpg") == [f"{tmp_path}/shots[1]/a.jpg"]
    assert find_images(f"{tmp_path}/shots[1]/*/*.jpg") == [f"{tmp_path}/shots[1]/below/b.jpg"]
    assert find_images(f"{tmp_path}/shots[12]/*.jpg") == [f"{tmp_path}/shots1/c.jpg"]


def test_a_folder_stands_for_all_images_in_it_and_below(tmp_path, monkeypatch):
    names = ("b.PNG", "a.jpg", "words.txt", ".hidden.png", "sub/c.gif", ".git/d.png", "@eaDir/e.png", "sub[1]/f.png")
    for name in names:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"")
    (tmp_path / "photos" / "sub" / "up").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "others")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "g.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert find_images("photos/") == [
        f"photos/{n}" for n in ("a.jpg", "b.PNG", "more/g.png", "sub/c.gif", "sub[1]/f.png")
    ]


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "words.txt").write_text("no image")
    with pytest.raises(UserError, match="is a folder without images"):
        find_images(str(tmp_path))


def test_a_folder_that_may_not_be_read_is_left_to_the_reader(place, monkeypatch):
    (place / "secret").mkdir()
    allowed = os.scandir

    def scan(path):
        if path.endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return allowed(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert find_images(str(place)) == [str(place / "red.png"), str(place / "secret")]


def test_a_list_may_mix_files_folders_and_patterns_and_counts_each_file_once(place, monkeypatch):
    (place / "sub").mkdir()
    for name in ("b.png", "a.png"):
        (place / "sub" / name).write_bytes(b"")
    monkeypatch.chdir(place)
    found = ["red.png", "sub/a.png", "sub/b.png", "words.txt", "gone.png", "none*.png"]
    assert find_images(["red.png", "sub/*.png", "sub", "words.txt", "gone.png", "none*.png"]) == found


def test_standard_input_names_one_path_per_line(monkeypatch):
    lines = b"cat (1).jpg\r\n\n a*.png\nb\xff.png\ncat (1).jpg"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert find_images("-") == ["cat (1).jpg", " a*.png", os.fsdecode(b"b\xff.png")]
    with pytest.raises(UserError, match="standard input, which is empty"):
        find_images("-")
