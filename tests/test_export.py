import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from src.exports.formats import FORMATS
from src.training.trained_model import load_trained
from tests.quick import QUICK, quick_commands

pytest.importorskip("safetensors")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with quick_commands():
        yield


@pytest.fixture(scope="module")
def place(command, tmp_path_factory) -> Path:
    """A folder with a trained run and an image."""
    place = tmp_path_factory.mktemp("export")
    Image.effect_noise((8, 8), 90).save(place / "noise.png")
    done = command("train", *QUICK, "hydra.run.dir=run", cwd=place)
    assert done.returncode == 0, done.stderr
    return place


def test_weights_are_written_with_what_describes_them(command, place):
    from safetensors.torch import load_file

    done = command("export", "run=run", "format=safetensors", "to=weights", cwd=place)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (place / "weights").iterdir()) == [
        "README.md", "classes.json", "example.py", "model.safetensors",
    ]  # fmt: skip
    trained = load_trained(str(place / "run"), None, "cpu", False)
    expected = trained.classifier.model.state_dict()
    found = load_file(place / "weights" / "model.safetensors")
    assert found.keys() == expected.keys() and all(found[name].equal(expected[name]) for name in found)
    assert json.loads((place / "weights" / "classes.json").read_text()) == list(trained.classes.names)
    assert done.stdout.splitlines()[0] == "weights/model.safetensors"
    assert "compared with PyTorch on 100 test images of the run:" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_earlier_export_is_replaced_only_if_asked_for(command, place):
    (place / "notes").mkdir()
    (place / "notes" / "README.md").write_text("mine")
    arguments = ("run=run", "format=safetensors", "to=notes")
    done = command("export", *arguments, cwd=place)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "notes already holds README.md; replace what is there with overwrite=true" in done.stderr
    assert [path.name for path in (place / "notes").iterdir()] == ["README.md"]
    assert (place / "notes" / "README.md").read_text() == "mine"
    assert command("export", *arguments, "overwrite=true", cwd=place).returncode == 0
    assert (place / "notes" / "README.md").read_text().startswith("# baseline")


def test_nothing_is_written_beside_a_folder_that_is_there(command, place, tmp_path):
    """As to=/tmp: only root may write into its parent."""
    (tmp_path / "there").mkdir()
    before = tmp_path.stat().st_mtime_ns
    done = command("export", "run=run", "format=safetensors", f"to={tmp_path / 'there'}", cwd=place)
    assert done.returncode == 0, done.stderr
    assert tmp_path.stat().st_mtime_ns == before and len(list((tmp_path / "there").iterdir())) == 4


def test_a_file_that_differs_is_not_kept(command, place, monkeypatch):
    before = sorted(place.rglob("*"))
    monkeypatch.setattr("src.exports.check.TOLERANCE", -1.0)
    done = command("export", "run=run", "format=safetensors", "to=new/folder", cwd=place)
    assert done.returncode == 1 and "differs from PyTorch by" in done.stderr and done.stderr.count("\n") == 1
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run=null"], "run is missing; name it, as in run=outputs/<run>"),
        (["format=tflite"], "format=tflite is not one of onnx, torch_export, safetensors"),
        (["to=noise.png"], "to=noise.png is a file; name a folder"),
        (["run=nowhere"], "run=nowhere is not the folder of a run"),
        (["checkpoint=first"], "checkpoint=first is not one of best, last"),
    ],
)
def test_mistakes_get_one_sentence(command, place, arguments, sentence):
    done = command("export", "run=run", "format=safetensors", *arguments, cwd=place)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and sentence in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_the_example_runs_without_cifarlab(command, place, tmp_path, name):
    for package in FORMATS[name].packages:
        pytest.importorskip(package)
    done = command("export", "run=run", f"format={name}", cwd=place)
    assert done.returncode == 0, done.stderr
    example, image = place / "run" / "export" / name / "example.py", place / "noise.png"
    program = [sys.executable, "-I", str(example), str(image)]  # -I: no PYTHONPATH, not the current folder
    shown = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    trained = load_trained(str(place / "run"), None, "cpu", False)
    if name == "safetensors":
        total = sum(value.numel() for value in trained.classifier.model.state_dict().values())
        assert shown.stdout.splitlines()[-1] == f"{total:,} numbers"
        return
    predicted = command("predict", "run=run", f"images={image}", "format=json", cwd=place)
    expected = [(entry["class"], entry["probability"]) for entry in json.loads(predicted.stdout)[str(image)]]
    found = re.findall(r"^ *([\d.]+)%  (\w)$", shown.stdout, re.MULTILINE)
    assert [name for _, name in found] == [name for name, _ in expected]
    assert [float(share) for share, _ in found] == pytest.approx([100 * p for _, p in expected], abs=0.011)


@pytest.mark.slow
def test_a_run_in_bfloat16_on_own_gray_images_is_exported_in_float32(command, place):
    for part in ("train", "test"):
        for label, name in enumerate(("dark", "light")):
            (place / "gray" / part / name).mkdir(parents=True)
            for number in range(12):
                Image.new("L", (10, 9), 20 * number + 9 * label).save(place / "gray" / part / name / f"{number}.png")
    done = command(
        "train", "data=folder", "data.root=gray", "data.image_size=8", "data.holdout=2", "model.blocks=[[8]]",
        "model.dense=[8]", "trainer.epochs=1", "trainer.precision=bf16", "hydra.run.dir=gray_run", cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = command("export", "run=gray_run", "format=torch_export", cwd=place)
    assert done.returncode == 0, done.stderr
    folder = place / "gray_run" / "export" / "torch_export"
    assert json.loads((folder / "classes.json").read_text()) == ["dark", "light"]
    assert "24 test images of the run" in done.stdout
    network = torch.export.load(folder / "model.pt2").module()
    with torch.no_grad():
        probabilities = network(torch.zeros(3, 3, 8, 8, dtype=torch.uint8))
    assert probabilities.dtype == torch.float32 and probabilities.sum(dim=1).tolist() == pytest.approx([1, 1, 1])
