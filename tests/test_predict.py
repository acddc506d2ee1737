import json

import pytest
import torch
from PIL import Image

from src.data.folder import read_image
from src.training.trained import load_trained
from tests.conftest import train_in


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    return train_in(tmp_path_factory.mktemp("predict") / "run", small())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    place = tmp_path_factory.mktemp("pictures")
    Image.effect_noise((300, 200), 90).save(place / "noise.png")
    Image.new("RGBA", (20, 50), (200, 30, 30, 255)).save(place / "red.png")
    (place / "words.txt").write_text("no image")
    return place


@pytest.mark.slow
def test_probabilities_are_the_networks_own(command, run, pictures):
    done = command("predict", f"run={run.path}", f"images={pictures}/*.png", "top=100", "format=json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert list(printed) == [str(pictures / "noise.png"), str(pictures / "red.png")]
    trained = load_trained(str(run.path), None, "cpu")
    images = torch.stack([read_image(path, 32) for path in printed])
    expected = trained.logits(images).softmax(dim=1)
    for ranked, row in zip(printed.values(), expected, strict=True):
        given = {entry["class"]: entry["probability"] for entry in ranked}
        assert [given[name] for name in trained.classes.names] == pytest.approx(row.tolist())
        assert [entry["probability"] for entry in ranked] == sorted(given.values(), reverse=True)


@pytest.mark.slow
def test_table_has_five_classes_per_image(command, run, pictures):
    done = command("predict", f"run={run.path}", f"images={pictures}/red.png")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["image", "class", "probability"] and len(lines) == 2 + 5
    assert lines[2].startswith(str(pictures / "red.png"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "sentence"), [("*.txt", "words.txt cannot be read as an image"), ("*.gif", "matches no file")]
)
def test_what_is_no_image_gets_one_sentence(command, run, pictures, images, sentence):
    done = command("predict", f"run={run.path}", f"images={pictures}/{images}")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and sentence in done.stderr
