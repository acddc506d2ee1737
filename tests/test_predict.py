import json
import os
import sys
from collections.abc import Iterator

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from src.data.decoding import read_image
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


@pytest.mark.parametrize("tta_flip", [False, True])
def test_probabilities_are_the_models_own(command, place, tta_flip):
    arguments = ["tta_flip=true"] if tta_flip else []  # the run has trainer.tta_flip=false
    done = command("predict", "run=run", f"images={place}/*.png", "top=100", "format=json", *arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert list(printed) == [str(place / "noise.png"), str(place / "red.png")]
    trained = load_trained(str(place / "run"), None, "cpu", False)
    images = torch.stack([read_image(path, 8) for path in printed])
    logits = trained.logits(images)
    mean_logits = (logits + trained.logits(images.flip(-1))) / 2
    assert not torch.allclose(logits, mean_logits)
    expected = (mean_logits if tta_flip else logits).softmax(dim=1)
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
        (["images=*.png", "format=xml"], "format=xml is not one of table, json, csv"),
        (["images=*.png", "run=nowhere"], "run=nowhere is not the folder of a run"),
        (["images=*.png", "run=null"], "run is missing"),
        (["images=[[a]]"], "must be a list of names"),
        (["images=.", "to=nowhere/a.csv"], "to=nowhere/a.csv cannot be written: there is no folder nowhere"),
        (["images=.", "to=run"], "to=run is a folder"),
        (["images=.", "to="], "to names no file"),
        (["images=.", "to=red.png"], "to=red.png is one of the images"),
        (["images=.", "sheet=sheet.jpg"], "sheet=sheet.jpg must be a PNG file"),
    ],
)
def test_mistakes_get_one_sentence(command, place, arguments, sentence):
    done = command("predict", "run=run", *arguments, cwd=place)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and sentence in done.stderr


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


def test_bad_files_are_named_and_skipped(command, place):
    done = command("predict", "run=run", "images=[words.txt,red.png,nowhere.png]", "top=1", "format=csv", cwd=place)
    assert done.returncode == 0
    assert [line.split(",")[:2] for line in done.stdout.splitlines()] == [["image", "rank"], ["red.png", "1"]]
    assert done.stderr.splitlines() == [
        "skipped: words.txt cannot be read as an image (damaged, or no image); replace or remove it.",
        "skipped: nowhere.png cannot be read as an image (there is no file); replace or remove it.",
        "2 of 3 files are skipped.",
    ]


def test_only_bad_files_are_an_error_and_write_nothing(command, place):
    done = command("predict", "run=run", "images=[words.txt,nowhere.png]", "to=never.csv", cwd=place)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1] == "error: none of the 2 files can be read as an image."
    assert not (place / "never.csv").exists()


@pytest.fixture(scope="module")
def labeled(place):
    """Nine images in folders named after classes a and b of the run, one in another folder."""
    for folder, count in (("a", 6), ("b", 3), ("elsewhere", 1)):
        (place / "labeled" / folder).mkdir(parents=True)
        for number in range(count):
            Image.effect_noise((20, 20), 30 * number).save(place / "labeled" / folder / f"{number}.png")
    return place / "labeled"


def test_folders_that_are_named_after_classes_give_the_accuracy(command, place, labeled):
    done = command("predict", "run=run", "images=labeled", "to=labeled.json", "top=1", cwd=place)
    best = {path: ranked[0]["class"] for path, ranked in json.loads((place / "labeled.json").read_text()).items()}
    correct = sum(path.split("/")[1] == name for path, name in best.items())
    assert len(best) == 10 and "10 images are classified in labeled.json" in done.stdout
    accuracy = f"accuracy {100 * correct / 9:.2f} %: {correct} of 9 images in folders named after classes"
    assert done.stdout.splitlines()[-1] == f"{accuracy}; 1 more in other folders"
    assert "class  images  accuracy" in done.stdout


def test_beside_json_the_accuracy_is_on_standard_error(command, place, labeled):
    done = command("predict", "run=run", "images=labeled/b", "format=json", cwd=place)
    assert len(json.loads(done.stdout)) == 3
    assert done.stderr.startswith("accuracy ") and done.stderr.endswith("of 3 images in folders named after classes\n")


def test_the_sheet_is_a_picture_of_the_first_images(command, place, labeled, monkeypatch):
    monkeypatch.setattr("src.predict.SHEET_IMAGES", 4)
    monkeypatch.setattr("src.data.image_batches.BATCH_SIZE", 3)
    drawn = []
    monkeypatch.setattr("src.plots.plot_predictions", lambda *arguments: drawn.append(arguments) or Figure())
    done = command("predict", "run=run", "images=labeled", "top=2", "sheet=sheet.png", cwd=place)
    assert done.returncode == 0 and "sheet.png shows the first 4 of 10 images" in done.stderr
    (images, best, labels), paths = drawn[0], [labeled / "a" / f"{number}.png" for number in range(4)]
    assert torch.equal(images, torch.stack([read_image(path, 8) for path in paths]))
    assert len(best) == 4 and labels == ["a"] * 4
    assert Image.open(place / "sheet.png").format == "PNG"
