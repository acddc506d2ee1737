"""The command as users type it, judged by what it prints, returns and leaves behind.

Signals, kills and closed pipes reach a process of its own; everything else runs in this one.
"""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor, nn

from src.loggers.history_csv import HistoryCsvLogger, read_history
from src.result import is_finished
from tests.conftest import create_in, mostly_slow, process_environment
from tests.quick import QUICK, quick_commands, train_processes


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with quick_commands():
        yield


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    with train_processes(tmp_path) as start:
        yield start


def await_epochs(run: subprocess.Popen[str], run_dir: Path, epochs: int = 1) -> None:
    """Waits until the run has completed so many epochs; 0: until it has been created."""
    awaited = run_dir / ("history.csv" if epochs else "config.yaml")
    while not awaited.exists() or awaited.read_text().count("\n") < epochs + 1:
        assert run.poll() is None
        time.sleep(0.01)


def result_of(run_dir: Path) -> dict:
    return json.loads((run_dir / "result.json").read_text())


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def folder_layout(root, classes, bad=False):
    for part in ("train", "test"):
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for index in range(3):
                Image.new("RGB", (8, 8), index * 50).save(root / part / name / f"{index}.png")
    if bad:
        (root / "train" / classes[0] / "bad.png").write_text("no image")


def broken_run(path, config):
    """A run whose last checkpoint was cut off."""
    run_dir = create_in(path, config)
    run_dir.checkpoint("last").parent.mkdir()
    run_dir.checkpoint("last").write_bytes(b"PK\x03\x04 cut off")
    run_dir.update_result(status="running")


def run_of_another_format(path, config):
    run_dir = create_in(path, config)
    (path / "SHA256SUMS").unlink()
    run_dir.config_file.write_text(run_dir.config_file.read_text().replace("format: 1", "format: 0"))


WRONG = {
    "unknown choice": (["model=dep"], "model=dep does not exist; did you mean deep?"),
    "unknown experiment": (
        ["experiment=course2021/depp"],
        "experiment=course2021/depp does not exist; did you mean course2021/deep?",
    ),
    "unknown group": (["modle=deep"], "modle is not a setting; did you mean model?"),
    "misspelt key": (["trainer.epoch=3"], "trainer.epoch is not a setting; did you mean epochs?"),
    "key of nowhere": (["+foo=3"], "foo is not a setting"),
    "group without a choice": (["model=null"], "model=null names no choice"),
    "setting without its group": (["epochs=3"], "epochs is not a setting of its own: write trainer.epochs."),
    "no override at all": (["model", "deep"], "model is not an override: write group=choice"),
    "folder that is a file": (["hydra.run.dir=wrong/file"], "wrong/file exists already and is no folder"),
    "wrong type": (["trainer.epochs=many"], "trainer.epochs: Value 'many' of type 'str' is not a number"),
    "wrong number": (["trainer.max_minutes=abc"], "trainer.max_minutes: Value 'abc' of type 'str' could not be"),
    "wrong whole number": (["data.fold=many"], "data.fold: Value 'many' of type 'str' could not be converted"),
    "out of range": (["data.batch_size=0"], "data.batch_size=0 must be at least 1"),
    "no such argument": (
        ["optimizer.momentun=0.9"],
        "optimizer.momentun is not a setting of torch.optim.Adam; there are: lr",
    ),
    "value refused by the target": (["optimizer.lr=-1"], "optimizer (torch.optim.Adam) refuses its settings: Invalid"),
    "contradiction": (["trainer.patience=2", "data.validation=none"], "needs images to choose by"),
    "augmentation without augment": (
        ["data.augment=false", "augmentation=crop_flip"],
        "augmentation=crop_flip does nothing with data.augment=false",
    ),
    "mean without normalize": (["data.mean=[0,0,0]"], "data.mean=[0,0,0] does nothing without data.normalize=true"),
    "unreadable override": (["seed=1=2"], "seed=1=2 cannot be read"),
    "missing run": (["resume=outputs/nowhere"], "resume=outputs/nowhere is not the folder of a run"),
    "missing base": (["init.run=outputs/nowhere"], "init.run=outputs/nowhere is not the folder of a run"),
    "one class only": (["data=folder", "data.root=one"], "holds one class only (cat)"),
    "not an image": (
        ["data=folder", "data.root=bad", "data.holdout=1"],
        "1 image cannot be read: bad/train/cat/bad.png (damaged",
    ),
    "classes that do not fit": (["data.num_classes=7"], "data.num_classes=7, but the data set has 10 classes"),
    "too large a limit": (["data.limit=151"], "data.limit=151 is more than the 150 training images"),
    "truncated checkpoint": (["resume=broken"], "broken/checkpoints/last.pt is damaged: it is no archive"),
    "resume and more": (["resume=broken", "seed=3"], "continues with the run's own config; leave seed=3 out"),
    "resume elsewhere": (["resume=broken", "hydra.run.dir=other"], "in the run's own folder; leave hydra.run.dir"),
    "another format": (["resume=other_format"], "has the run folder format"),
    "change of folder": (["hydra.job.chdir=true"], "hydra.job.chdir=true is not supported"),
}


@pytest.fixture(scope="module")
def wrong_place(tmp_path_factory, small):
    place = tmp_path_factory.mktemp("wrong")
    folder_layout(place / "one", ["cat"])
    folder_layout(place / "bad", ["cat", "dog"], bad=True)
    broken_run(place / "broken", small())
    run_of_another_format(place / "other_format", small())
    (place / "wrong").mkdir()
    (place / "wrong" / "file").write_text("a file")
    return place


@pytest.mark.parametrize("case", mostly_slow(WRONG, quick=12))
def test_a_mistake_gets_one_sentence_and_no_traceback(command, wrong_place, case):
    arguments, sentence = WRONG[case]
    quick = QUICK if "resume" not in arguments[0] and arguments[0] != "data=folder" else []
    before = set(wrong_place.glob("*"))
    done = command("train", *quick, *arguments, cwd=wrong_place)
    said = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert len(said) == 1 and said[0].startswith("error: ") and sentence in said[0]
    assert "Traceback" not in done.stdout
    assert set(wrong_place.glob("*")) <= before | {wrong_place / "outputs"}


def test_a_mistake_creates_no_folder(command, tmp_path):
    for argument in ("hydra.job.chdir=true", "data.batch_size=0", "optimizer.momentun=1", "init.run=nowhere"):
        assert command("train", *QUICK, argument, cwd=tmp_path).returncode == 1
    assert not list(tmp_path.glob("outputs/*"))


def test_a_job_is_not_done_before_its_rung_is_measured():
    measured = {"rungs": {"2": {}}}
    assert is_finished({"status": "paused", "epochs": 2, **measured}, 2)
    assert not is_finished({"status": "interrupted", "epochs": 2}, 2)  # within its evaluation
    assert not is_finished({"status": "paused", "epochs": 2, **measured}, 5)
    assert not is_finished({"status": "paused", "epochs": 2, **measured}, None)


@pytest.mark.slow
def test_time_runs_out_once_in_a_sweep_and_is_granted_again_to_resume(command, tmp_path):
    sweep = ("--multirun", *QUICK, "trainer.max_minutes=1e-6", "hydra.sweep.dir=mine")
    assert command("train", *sweep, cwd=tmp_path).returncode == 0
    (run_dir,) = (path.parent for path in tmp_path.glob("mine/*/result.json"))
    first = result_of(run_dir)
    assert (first["status"], first["stopped_by"], first["steps"]) == ("completed", "max_minutes", 1)
    assert "there is nothing left to do" in command("train", *sweep, cwd=tmp_path).stdout
    assert result_of(run_dir) == first
    done = command("train", f"resume={run_dir}", cwd=tmp_path)
    assert done.returncode == 0 and "continuing after epoch 0, batch 1" in done.stdout
    assert result_of(run_dir)["steps"] == 2


@pytest.mark.parametrize("pause_at", [0, -1])
def test_a_resumed_run_pauses_after_an_epoch_that_exists(command, small, tmp_path, pause_at):
    create_in(tmp_path / "mine", small())
    done = command("train", "resume=mine", f"pause_at={pause_at}", cwd=tmp_path)
    assert done.returncode == 1 and f"pause_at={pause_at} must be at least 1" in done.stderr
    assert result_of(tmp_path / "mine")["status"] == "waiting"


def test_a_folder_that_holds_a_run_is_left_alone(command, tmp_path):
    first = command("train", *QUICK, "hydra.run.dir=mine", cwd=tmp_path)
    assert first.returncode == 0
    before = contents(tmp_path / "mine")
    second = command("train", *QUICK, "seed=1", "hydra.run.dir=mine", cwd=tmp_path)
    assert second.returncode == 1 and "mine already holds a run" in second.stderr
    assert contents(tmp_path / "mine") == before
    done = command("train", "resume=mine", cwd=tmp_path)
    assert done.returncode == 0 and "mine is completed; there is nothing left to do" in done.stdout
    result = result_of(tmp_path / "mine")
    assert "hydra.run.dir=mine" in result["commands"][0]

    # Interrupted within its last evaluation a run has trained to its end, and is evaluated again.
    (tmp_path / "mine" / "SHA256SUMS").unlink()
    (tmp_path / "mine" / "result.json").write_text(json.dumps({**result, "status": "interrupted"}))
    done = command("train", "resume=mine", cwd=tmp_path)
    assert done.returncode == 0 and "evaluating on" in done.stdout and "best checkpoint" in done.stdout
    again = result_of(tmp_path / "mine")
    assert (again["status"], again["metrics"]) == ("completed", result["metrics"])


@pytest.mark.slow
def test_a_resumed_run_may_be_told_where_to_pause(command, tmp_path):
    run_dir, paused = tmp_path / "mine", ("trainer.epochs=3", "pause_at=1", "hydra.run.dir=mine")
    assert command("train", *QUICK, *paused, cwd=tmp_path).returncode == 0
    first = result_of(run_dir)
    assert (first["status"], first["epochs"], first["metrics"]["test"]) == ("paused", 1, None)
    assert command("train", "resume=mine", "pause_at=2", cwd=tmp_path).returncode == 0
    second = result_of(run_dir)
    assert (second["status"], second["epochs"], list(second["rungs"])) == ("paused", 2, ["1", "2"])
    assert command("train", "resume=mine", cwd=tmp_path).returncode == 0
    last = result_of(run_dir)
    assert (last["status"], last["epochs"], last["stopped_by"]) == ("completed", 3, "epochs")
    assert "pause_at" not in (run_dir / "config.yaml").read_text()


@pytest.mark.slow
def test_the_home_folder_is_a_tilde(command, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder_layout(tmp_path / "home" / "images", ["cat", "dog"])
    assert command("train", *QUICK, "hydra.run.dir=~/mine", "pause_at=1", cwd=tmp_path).returncode == 0
    assert result_of(tmp_path / "home" / "mine")["status"] == "paused"
    assert command("train", "resume=~/mine", cwd=tmp_path).returncode == 0
    assert result_of(tmp_path / "home" / "mine")["status"] == "completed"
    assert "the same" in command("evaluate", "run=~/mine", cwd=tmp_path).stdout
    images = command(
        "train", "data=folder", "data.root=~/images", "data.holdout=1", "data.image_size=8", "model.blocks=[[8]]",
        "trainer.epochs=1", "~logger.tensorboard", "hydra.run.dir=~/pets", cwd=tmp_path,
    )  # fmt: skip
    assert images.returncode == 0, images.stderr
    assert result_of(tmp_path / "home" / "pets")["data"]["test_images"] == 6
    assert not (tmp_path / "~").exists()


def test_naming_an_augmentation_switches_it_on(command, tmp_path):
    assert command("train", *QUICK, "augmentation=cutmix", "hydra.run.dir=mine", cwd=tmp_path).returncode == 0
    config = OmegaConf.load(tmp_path / "mine" / "config.yaml")
    assert config.data.augment is True
    assert result_of(tmp_path / "mine")["choices"]["augmentation"] == "cutmix"


class DoubleCrossEntropy(nn.Module):
    """A loss as a user may write it."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.factor * nn.functional.cross_entropy(logits, labels)


def test_a_loss_of_ones_own_trains(command, tmp_path):
    own = (f"loss._target_={__name__}.DoubleCrossEntropy", "~loss.label_smoothing", "loss.factor=2")
    frozen = ("optimizer.lr=0", "trainer.epochs=1")
    for name, loss in (("own", own), ("default", ())):
        done = command("train", *QUICK, *frozen, *loss, f"hydra.run.dir={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (doubled,), (plain,) = (read_history(tmp_path / name / "history.csv") for name in ("own", "default"))
    assert doubled["train_loss"] == pytest.approx(2 * plain["train_loss"])
    assert doubled["val_loss"] == pytest.approx(plain["val_loss"])  # always cross-entropy


@pytest.mark.slow
def test_runs_started_together_get_folders_of_their_own(start, tmp_path):
    runs = [start() for _ in range(2)]
    assert [run.wait(timeout=240) for run in runs] == [0, 0]
    assert len(list((tmp_path / "outputs").glob("*/result.json"))) == 2


SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@SIGNALS
def test_a_signal_saves_everything_and_prints_how_to_continue(command, tmp_path, monkeypatch, number, code):
    log_epoch = HistoryCsvLogger.on_epoch_end

    def log_and_raise(self, history, is_best):
        log_epoch(self, history, is_best)
        signal.raise_signal(number)

    monkeypatch.setattr(HistoryCsvLogger, "on_epoch_end", log_and_raise)
    done = command("train", *QUICK, "hydra.run.dir=mine", "trainer.epochs=3", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
    assert "interrupted, everything is saved" in done.stdout and "python -m src.train resume=mine" in done.stdout
    result = result_of(tmp_path / "mine")
    assert (result["status"], result["epochs"]) == ("interrupted", 1)
    monkeypatch.undo()
    assert command("train", "resume=mine", cwd=tmp_path).returncode == 0
    assert result_of(tmp_path / "mine")["epochs"] == 3


@pytest.mark.slow
@SIGNALS
def test_a_signal_from_outside_ends_the_process(start, tmp_path, number, code):
    run = start("hydra.run.dir=mine", "trainer.epochs=100000", "trainer.max_minutes=3")
    await_epochs(run, tmp_path / "mine")
    run.send_signal(number)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == code and "Error" not in output
    assert "python -m src.train resume=mine" in output and "Traceback" not in output
    assert result_of(tmp_path / "mine")["status"] == "interrupted"


@pytest.mark.slow
def test_a_run_outlives_its_terminal(start, tmp_path):
    """`| head -3` closes the pipe after three lines, a closed terminal sends SIGHUP."""
    run = start("hydra.run.dir=mine", "trainer.epochs=60")
    for _ in range(3):
        run.stdout.readline()
    run.stdout.close()
    await_epochs(run, tmp_path / "mine")
    run.send_signal(signal.SIGHUP)
    assert run.wait(timeout=120) == 0
    assert result_of(tmp_path / "mine")["status"] == "completed"
    log = (tmp_path / "mine" / "train.log").read_text()
    assert log.startswith("mine\n") and re.search(r"^ +60/60", log, re.MULTILINE)
    assert "everything is in mine" in log and log.rstrip().endswith("tensorboard --logdir outputs")


KILLED = ("trainer.epochs=60", "model.dropout=0.5", "data.augment=true")


@pytest.fixture(scope="module")
def killed_whole(command, tmp_path_factory):
    place = tmp_path_factory.mktemp("whole")
    assert command("train", *QUICK, *KILLED, "hydra.run.dir=whole", cwd=place).returncode == 0
    return place / "whole"


@pytest.mark.slow
@pytest.mark.parametrize("epochs_before", [0, 1, 3])
def test_a_killed_run_resumes_to_the_same_end(command, start, killed_whole, tmp_path, epochs_before):
    run, mine = start("hydra.run.dir=mine", *KILLED), tmp_path / "mine"
    await_epochs(run, mine, epochs_before)
    run.kill()
    run.communicate()
    assert not epochs_before or result_of(mine)["status"] == "running"
    done = command("train", "resume=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(path / "checkpoints" / "last.pt", weights_only=True) for path in (killed_whole, mine))
    assert first["step"] == second["step"] == 180
    for name, value in first["model"].items():
        assert torch.equal(value, second["model"][name])
    for index, state in first["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, second["optimizer"]["state"][index][name])


def test_help_and_cfg_do_not_import_torch():
    script = """
import sys
from src.train import main

for arguments in (["--help"], ["--cfg", "job"]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as ending:
        assert not ending.code
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=process_environment(), timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Everything about a run" in done.stdout and "_target_: src.models.convnet.ConvNet" in done.stdout


def test_the_config_of_hydra_is_shown_resolved(command, tmp_path):
    done = command("train", "--cfg", "hydra", "--resolve", "hydra/launcher=joblib", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "_target_: hydra_plugins.cifarlab.Subprocesses" in done.stdout
    assert not list(tmp_path.iterdir())
