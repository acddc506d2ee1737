import json
import os
import sys
from collections.abc import Iterator

import pytest
import torch
from PIL import Image

from src.data.decoding import read_image
from src.errors import UserError
from src.predict import find_images
from src.training.trained_model import load_trained
from tests.quick import QUICK, quick_commands


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with quick_commands():
        yield


@pytest.fixture(scope="module")
def place(command, tmp_path_factory):
    """A folder with a trained run, two images and a text."""
    place = tmp_path_factory.mktemp("predict")
    Image.effect_noise((300, 200), 90).save(place / "noise.png")
    Image.new("RGBA", (20, 50), (200, 30, 30, 255)).save(place / "red.png")
    (place / "words.txt").write_text("no image")
    done = command("train", *QUICK, "hydra.run.dir=run", cwd=place)
    assert done.returncode == 0, done.stderr
    return place


def test_probabilities_are_the_models_own(command, place):
    done = command("predict", "run=run", f"images={place}/*.png", "top=100", "format=json", cwd=place)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert list(printed) == [str(place / "noise.png"), str(place / "red.png")]
    trained = load_trained(str(place / "run"), None, "cpu", False)
    images = torch.stack([read_image(path, 8) for path in printed])
    expected = trained.logits(images).softmax(dim=1)
    for ranked, row in zip(printed.values(), expected, strict=True):
        found = {entry["class"]: entry["probability"] for entry in ranked}
        assert [found[name] for name in trained.classes.names] == pytest.approx(row.tolist())
        assert [entry["probability"] for entry in ranked] == sorted(found.values(), reverse=True)


def test_table_has_five_classes_per_image(command, place):
    done = command("predict", "run=run", "images=red.png", cwd=place)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["image", "class", "probability"] and len(lines) == 2 + 5
    assert lines[2].startswith("red.png")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["images=*.txt"], "words.txt cannot be read as an image"),
        (["images=*.gif"], "matches no file"),
        ([], "images is missing"),
        (["images=*.png", "top=0"], "top=0 must be at least 1"),
        (["images=*.png", "format=xml"], "format=xml is not one of table, json"),
        (["images=*.png", "run=nowhere"], "run=nowhere is not the folder of a run"),
        (["images=*.png", "run=null"], "run is missing"),
    ],
)
def test_mistakes_get_one_sentence(command, place, arguments, sentence):
    done = command("predict", "run=run", *arguments, cwd=place)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and sentence in done.stderr


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


@pytest.mark.skipif(sys.platform == "darwin", reason="names are always UTF-8 there")
def test_strange_names_are_escaped(command, place, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b[2J.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", path)
    arguments = ("run=run", f"images={tmp_path}/*.png", "top=1")
    table = command("predict", *arguments, cwd=place)
    assert table.stdout.splitlines()[2].startswith(rf"{tmp_path}/\udcff\x1b[2J.png  ")
    printed = command("predict", *arguments, "format=json", cwd=place).stdout
    assert printed.isascii() and list(json.loads(printed)) == [path]
