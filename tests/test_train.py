"""The command as users type it: in a process of its own, judged by what it prints, returns and leaves behind."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

from src.train import nothing_left
from tests.conftest import ROOT, SMALL

RUN = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from src.train import main; main()"


def start(folder, *arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *SMALL, f"hydra.run.dir={folder}", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd,
    )  # fmt: skip


def folder_layout(root, classes, bad=False):
    for part in ("train", "test"):
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for index in range(3):
                Image.new("RGB", (8, 8), index * 50).save(root / part / name / f"{index}.png")
    if bad:
        (root / "train" / classes[0] / "bad.png").write_text("no image")


def broken_run(path):
    """A run whose last checkpoint was cut off."""
    (path / "checkpoints").mkdir(parents=True)
    (path / "checkpoints" / "last.pt").write_bytes(b"PK\x03\x04 cut off")
    config = subprocess.run(
        [sys.executable, "-c", RUN, *SMALL, "--cfg", "job"], capture_output=True, text=True, check=True
    )
    (path / "config.yaml").write_text(config.stdout)
    (path / "result.json").write_text('{"status": "running"}')


WRONG = {
    "unknown choice": (["model=dep"], "model=dep does not exist; did you mean deep?"),
    "unknown experiment": (
        ["experiment=report/depp"],
        "experiment=report/depp does not exist; did you mean report/deep?",
    ),
    "unknown group": (["modle=deep"], "modle is not a setting; did you mean model?"),
    "misspelt key": (["trainer.epoch=3"], "trainer.epoch is not a setting; did you mean epochs?"),
    "key of nowhere": (["+foo=3"], "foo is not a setting"),
    "group without a choice": (["model=null"], "model=null names no choice"),
    "setting without its group": (["epochs=3"], "epochs is not a setting of its own: write trainer.epochs."),
    "no override at all": (["model", "deep"], "model is no override: write group=choice"),
    "folder that is a file": (["hydra.run.dir=wrong/file"], "File exists"),
    "wrong type": (["trainer.epochs=many"], "trainer.epochs: Value 'many' of type 'str' could not be converted"),
    "out of range": (["data.batch_size=0"], "data.batch_size=0 must be at least 1"),
    "no such argument": (["optimizer.momentun=0.9"], "unexpected keyword argument 'momentun'; its arguments are: lr"),
    "value refused by the target": (["optimizer.lr=-1"], "optimizer (torch.optim.Adam) refuses its settings: Invalid"),
    "contradiction": (["trainer.patience=2", "data.validation=none"], "needs images to choose by"),
    "augmentation without augment": (["augmentation=crop_flip"], "does nothing without data.augment=true"),
    "unreadable override": (["seed=1=2"], "seed=1=2 cannot be read"),
    "missing run": (["resume=outputs/nowhere"], "resume=outputs/nowhere is not the folder of a run"),
    "one class only": (["data=folder", "data.root=one"], "holds one class only (cat)"),
    "not an image": (["data=folder", "data.root=bad"], "bad.png cannot be read as an image"),
    "classes that do not fit": (["data.num_classes=7"], "data.num_classes=7, but the data set has 100 classes"),
    "too large a limit": (["data.limit=501"], "data.limit=501 is more than the 500 training images"),
    "truncated checkpoint": (["resume=broken"], "broken/checkpoints/last.pt is damaged and cannot be read"),
    "resume and more": (["resume=broken", "seed=3"], "goes on with the run's own config; take seed=3 away"),
}


@pytest.fixture(scope="module")
def wrong_place(tmp_path_factory):
    place = tmp_path_factory.mktemp("wrong")
    folder_layout(place / "one", ["cat"])
    folder_layout(place / "bad", ["cat", "dog"], bad=True)
    broken_run(place / "broken")
    (place / "wrong").mkdir()
    (place / "wrong" / "file").write_text("a file")
    return place


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_gets_one_sentence_and_no_traceback(command, wrong_place, case):
    arguments, sentence = WRONG[case]
    small = (
        []
        if "resume" in arguments[0]
        else [s for s in SMALL if not s.startswith("data") or "data=f" not in arguments[0]]
    )
    done = command("train", *small, *arguments, cwd=wrong_place)
    said = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert len(said) == 1 and said[0].startswith("error: ") and sentence in said[0]
    assert "Traceback" not in done.stdout


def test_a_job_is_not_done_before_its_rung_is_measured():
    measured = {"rungs": {"2": {}}}
    assert nothing_left({"status": "paused", "epochs": 2, **measured}, 2, multirun=True)
    assert not nothing_left({"status": "interrupted", "epochs": 2}, 2, multirun=True)  # within its evaluation
    assert not nothing_left({"status": "paused", "epochs": 2, **measured}, 5, multirun=True)
    assert not nothing_left({"status": "paused", "epochs": 2, **measured}, None, multirun=True)


def test_time_runs_out_once_in_a_sweep_and_is_given_again_to_resume():
    result = {"status": "completed", "stopped_by": "max_minutes"}
    assert nothing_left(result, None, multirun=True) and not nothing_left(result, None, multirun=False)


@pytest.mark.slow
def test_multirun_makes_a_folder_per_job_and_one_failure_does_not_stop_the_others(command, tmp_path):
    done = command(
        "train", *SMALL, "trainer.epochs=1", "--multirun", "optimizer=adam,sgd,rmsprop", "data.limit=500",
        "optimizer.lr=0.001", "model.dropout=0,2", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 1
    (sweep,) = (tmp_path / "outputs").iterdir()
    results = {path.parent.name: json.loads(path.read_text()) for path in sorted(sweep.glob("*/result.json"))}
    assert [result["status"] for result in results.values()] == ["completed", "failed"] * 3
    assert all("dropout=2" in result["reason"] for result in results.values() if result["status"] == "failed")
    assert list(results)[:3] == [
        "0_optimizer-adam_model.dropout-0",
        "1_optimizer-adam_model.dropout-2",
        "2_optimizer-sgd_model.dropout-0",
    ]


@pytest.mark.slow
def test_a_folder_that_holds_a_run_is_left_alone(command, tmp_path):
    first = command("train", *SMALL, "hydra.run.dir=mine", cwd=tmp_path)
    assert first.returncode == 0
    before = {path: path.read_bytes() for path in sorted((tmp_path / "mine").rglob("*")) if path.is_file()}
    second = command("train", *SMALL, "seed=1", "hydra.run.dir=mine", cwd=tmp_path)
    assert second.returncode == 1 and "mine already holds a run" in second.stderr
    assert {path: path.read_bytes() for path in sorted((tmp_path / "mine").rglob("*")) if path.is_file()} == before
    done = command("train", "resume=mine", cwd=tmp_path)
    assert done.returncode == 0 and "mine is completed; there is nothing left to do" in done.stdout
    result = json.loads((tmp_path / "mine" / "result.json").read_text())
    assert "hydra.run.dir=mine" in result["commands"][0]

    # Interrupted within its last evaluation a run has trained to its end, and is evaluated again.
    (tmp_path / "mine" / "result.json").write_text(json.dumps({**result, "status": "interrupted"}))
    done = command("train", "resume=mine", cwd=tmp_path)
    assert done.returncode == 0 and "evaluating the best checkpoint" in done.stdout
    again = json.loads((tmp_path / "mine" / "result.json").read_text())
    assert (again["status"], again["metrics"]) == ("completed", result["metrics"])


@pytest.mark.slow
def test_runs_started_together_get_folders_of_their_own(tmp_path):
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, *SMALL, "trainer.epochs=1"], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    assert [run.wait(timeout=240) for run in runs] == [0, 0]
    assert len(list((tmp_path / "outputs").glob("*/result.json"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_everything_and_prints_how_to_go_on(command, tmp_path, number, code):
    run = start("mine", "trainer.epochs=400", "trainer.max_minutes=3", cwd=tmp_path)
    while not (tmp_path / "mine" / "history.csv").exists():
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(number)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == code and "Error" not in output
    assert "python -m src.train resume=mine" in output and "Traceback" not in output
    assert json.loads((tmp_path / "mine" / "result.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("epochs_before", [0, 1, 3])
def test_a_killed_run_resumes_to_the_same_end(command, killed_whole, tmp_path, epochs_before):
    run = start("mine", *KILLED, cwd=tmp_path)
    mine = tmp_path / "mine"
    awaited = mine / "history.csv" if epochs_before else mine / "config.yaml"
    while not awaited.exists() or awaited.read_text().count("\n") < epochs_before + 1:
        assert run.poll() is None
        time.sleep(0.02)
    run.kill()
    run.communicate()
    done = command("train", "resume=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(path / "checkpoints" / "last.pt", weights_only=True) for path in (killed_whole, mine))
    assert first["step"] == second["step"] == 48
    for name, value in first["model"].items():
        assert torch.equal(value, second["model"][name])
    for index, state in first["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, second["optimizer"]["state"][index][name])


KILLED = ("trainer.epochs=6", "model.dropout=0.5", "data.augment=true")


@pytest.fixture(scope="module")
def killed_whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("whole")
    assert start("whole", *KILLED, cwd=place).wait(timeout=240) == 0
    return place / "whole"


@pytest.mark.slow
def test_help_explains_every_group(command):
    done = command("train", "--help")
    assert done.returncode == 0
    for group in ("model", "data", "augmentation", "optimizer", "scheduler", "trainer", "experiment"):
        assert re.search(rf"^  {group} +\w", done.stdout, re.MULTILINE)
        assert re.search(rf"^{group}: \w", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]])
def test_help_and_cfg_do_not_import_torch(arguments):
    script = (
        f"import atexit, os, sys; sys.path.insert(0, {str(ROOT)!r}); from src.train import main\n"
        "atexit.register(lambda: os._exit('torch' in sys.modules)); main()"
    )
    assert subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True).returncode == 0
