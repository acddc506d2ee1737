"""Plain sweeps, run in this process; those that are killed or run several jobs at once are in test_workers.py."""

import contextlib
import csv
import io
import json
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra._internal.hydra import Hydra
from omegaconf import OmegaConf

from src import train
from src.loggers.history_csv import HistoryCsvLogger
from src.sweeps.sweep import Sweep, folder_name
from tests.conftest import mostly_slow
from tests.quick import FIND_MODE, QUICK, quick_commands


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with quick_commands():
        yield


def test_job_folders_need_no_quotes():
    overrides = ["experiment=course2021/deep", "model.dense=[128,64]", "++optimizer.lr=1e-3"]
    name = folder_name(3, overrides, ["experiment", "model.dense", "++optimizer.lr"])
    assert name == "3_experiment-course2021-deep_model.dense-128-64_optimizer.lr-1e-3"


def test_job_folders_name_what_is_swept():
    assert folder_name(1, ["data.augment=True", "data.mean=[0.5,0.5,0.5]", "seed=1"], ["seed"]) == "1_seed-1"


def sweep(command, cwd, *arguments):
    return command("train", "--multirun", *QUICK, "data.augment=true", *arguments, cwd=cwd)


def results(folder: Path) -> dict[str, dict]:
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/result.json"))}


def statuses(folder: Path) -> list[str]:
    return [result["status"] for result in results(folder).values()]


DROPOUTS = ("model.dropout=0.5,2,0.25", "hydra.sweep.dir=mine")


@pytest.fixture(scope="module")
def swept(command, tmp_path_factory):
    """A sweep whose second of three jobs fails: the place where it was started, and what it printed."""
    place = tmp_path_factory.mktemp("swept")
    return place, sweep(command, place, *DROPOUTS)


def test_a_failing_job_is_a_row_with_its_reason_and_the_others_continue(swept):
    place, done = swept
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "error: 1 of 3 jobs did not complete."
    rows = {row["model.dropout"]: row for row in csv.DictReader((place / "mine" / "sweep.csv").open())}
    assert [rows[name]["status"] for name in ("0.5", "0.25", "2")] == ["completed", "completed", "failed"]
    assert "dropout=2 must lie in [0, 1)" in rows["2"]["reason"]
    own = results(place / "mine")
    assert float(rows["0.5"]["mean"]) == own["0_model.dropout-0.5"]["metrics"]["val"]["top1"]
    assert re.search(r"1_model.dropout-2 +failed +model (.|\n)*must\s+lie in", done.stdout)
    assert "to continue with what is not completed:" in done.stdout


def test_a_job_is_the_same_alone_and_third_in_a_sweep(command, swept, tmp_path):
    alone, third = tmp_path / "alone", swept[0] / "mine" / "2_model.dropout-0.25"
    own = ("data.augment=true", "model.dropout=0.25", "hydra.run.dir=alone")
    assert command("train", *QUICK, *own, cwd=tmp_path).returncode == 0
    facts = [json.loads((path / "result.json").read_text()) for path in (alone, third)]
    assert facts[0]["metrics"] == facts[1]["metrics"]
    files = (path / "checkpoints" / "last.pt" for path in (alone, third))
    first, second = (torch.load(file, weights_only=True)["model"] for file in files)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_the_table_is_made_again_from_the_folders_alone(command, swept, tmp_path):
    place, _ = swept
    done = command("report", f"runs={place / 'mine'}", "hydra.run.dir=report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "sweep.csv").read_text() == (place / "mine" / "sweep.csv").read_text()
    assert (tmp_path / "report" / "sweep.md").read_text() == (place / "mine" / "sweep.md").read_text()


@pytest.mark.slow
def test_an_interrupted_sweep_writes_its_table_and_continues_with_what_is_missing(command, tmp_path, monkeypatch):
    arguments = ("seed=0,1,2", "trainer.epochs=4", "hydra.sweep.dir=mine")
    log_epoch = HistoryCsvLogger.on_epoch_end

    def raise_in_the_second_job(self, history, is_best):
        log_epoch(self, history, is_best)
        if self.path.parent.name == "1_seed-1" and len(history) == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(HistoryCsvLogger, "on_epoch_end", raise_in_the_second_job)
    first = sweep(command, tmp_path, *arguments)
    assert first.returncode == 143 and "to continue with what is not completed:" in first.stdout
    before = results(tmp_path / "mine")
    assert statuses(tmp_path / "mine") == ["completed", "interrupted", "waiting"]
    assert "1 completed, 1 interrupted, 1 waiting" in (tmp_path / "mine" / "sweep.csv").read_text()
    monkeypatch.undo()

    done = sweep(command, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    after = results(tmp_path / "mine")
    assert after["0_seed-0"] == before["0_seed-0"]  # untouched
    assert "0_seed-0 is completed; there is nothing left to do" in done.stdout
    assert "continuing after epoch 2" in (tmp_path / "mine" / "1_seed-1" / "train.log").read_text()
    whole = command(
        "train", *QUICK, "data.augment=true", "seed=1", "trainer.epochs=4", "hydra.run.dir=whole", cwd=tmp_path
    )
    assert whole.returncode == 0
    assert after["1_seed-1"]["metrics"] == json.loads((tmp_path / "whole" / "result.json").read_text())["metrics"]
    assert after["2_seed-2"]["status"] == "completed"


def test_the_table_is_written_however_the_jobs_end(command, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("subprocess.Popen", fail)
    done = sweep(command, tmp_path, "seed=0,1", "hydra/launcher=joblib", "hydra.sweep.dir=mine")
    assert done.returncode == 1 and "Cannot allocate memory" in done.stderr
    assert ",waiting," in (tmp_path / "mine" / "sweep.csv").read_text()
    assert "to continue with what is not completed:" in done.stdout


class ClosedPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.slow
def test_a_sweep_whose_reader_has_gone_writes_its_table_in_which_equal_runs_count_once(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["src/train.py", "--multirun", *QUICK, "seed=0,0", "hydra.sweep.dir=mine"])
    hangup = signal.getsignal(signal.SIGHUP)
    with contextlib.redirect_stdout(ClosedPipe()), pytest.raises(SystemExit) as ending:
        train.main()
    signal.signal(signal.SIGHUP, hangup)
    assert ending.value.code == 0
    assert statuses(tmp_path / "mine") == ["completed", "completed"]
    (row,) = csv.DictReader((tmp_path / "mine" / "sweep.csv").open())
    assert (row["n"], row["std"]) == ("1", "")
    note = "1 run repeats another's settings, seed and fold and is not counted"
    assert note in (tmp_path / "mine" / "sweep.md").read_text()


@pytest.fixture
def launched(monkeypatch):
    """The batches of jobs that sweeps launch instead of training them: (first number, overrides of each job)."""
    batches = []

    class Launcher:
        def launch(self, job_overrides, initial_job_idx):
            batches.append((initial_job_idx, job_overrides))

    monkeypatch.setattr("src.sweeps.sweep.Plugins.instantiate_launcher", lambda *_, **__: Launcher())
    return batches


def test_a_folder_per_job_in_the_order_of_the_product(command, tmp_path, launched):
    values = ("optimizer=adam,sgd", "optimizer.lr=0.001", "model.dropout=0,0.5")
    command("train", "--multirun", *QUICK, *values, cwd=tmp_path)
    (folder,) = (tmp_path / "outputs").iterdir()
    assert statuses(folder) == ["waiting"] * 4
    assert list(results(folder))[:3] == [
        "0_optimizer-adam_model.dropout-0",
        "1_optimizer-adam_model.dropout-0.5",
        "2_optimizer-sgd_model.dropout-0",
    ]


def test_each_job_resumes_its_folder(command, tmp_path, launched):
    done = sweep(command, tmp_path, "seed=0,1", "hydra.sweep.dir=my sweep")
    assert done.returncode == 1 and done.stderr == "error: 2 of 2 jobs did not complete.\n"
    ((first, jobs),) = launched
    assert first == 0
    resumed = ["resume='my sweep/1_seed-1'", "hydra.sweep.dir='my sweep'", "hydra.sweep.subdir=1_seed-1", "trust=true"]
    assert list(jobs[1]) == resumed
    assert statuses(tmp_path / "my sweep") == ["waiting", "waiting"]


@pytest.mark.parametrize("sweeper", ["grid", "random_search"])
def test_of_a_loss_less_is_better_unless_it_is_said_otherwise(command, tmp_path, launched, monkeypatch, sweeper):
    sweeps = []
    monkeypatch.setattr(Sweep, "launch", lambda sweep, *_, **__: sweeps.append(sweep))
    arguments = ("model.width=1,2", f"hydra/sweeper={sweeper}", "hydra.sweeper.metric=metrics.val.loss")
    sweep(command, tmp_path, *arguments, "hydra.sweep.dir=a")
    sweep(command, tmp_path, *arguments, "hydra.sweeper.direction=maximize", "hydra.sweep.dir=b")
    assert [each.direction for each in sweeps] == ["minimize", "maximize"]


@pytest.mark.slow
def test_jobs_are_launched_in_batches_on_request(command, tmp_path, launched):
    sweep(command, tmp_path, "seed=0,1,2", "hydra.sweeper.max_batch_size=2")
    assert [(first, len(jobs)) for first, jobs in launched] == [(0, 2), (2, 1)]


def test_experiments_of_a_folder_are_swept(command, tmp_path, launched):
    command("train", "--multirun", *QUICK, "experiment=glob(course2021/*two*)", "hydra.sweep.dir=mine", cwd=tmp_path)
    (result,) = results(tmp_path / "mine").values()
    assert result["choices"]["experiment"] == "course2021/deep_two_dense"


def test_an_experiment_that_is_a_sweep_takes_settings_of_its_sweeper_and_names_a_command_for_one_run(
    command, tmp_path, monkeypatch
):
    monkeypatch.setattr(Hydra, "get_mode", FIND_MODE)
    (tmp_path / "my_conf" / "experiment").mkdir(parents=True)
    (tmp_path / "my_conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [override /hydra/sweeper: random_search]\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {model.dropout: '0,0.5'}}}\n"
    )
    typed = ("--config-dir", "my_conf", *QUICK, "experiment=mine", "trainer.epochs=1")
    done = command("train", *typed, "hydra.sweeper.n_candidates=2", "hydra.sweep.dir=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path / "mine") == ["completed", "completed"]
    python, option, module, *again = shlex.split(done.stdout.partition("to train it:\n")[2].splitlines()[0])
    assert (python, option, module) == ("python", "-m", "src.train")
    assert command("train", *again, "hydra.run.dir=one", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "one" / "result.json").read_text())["status"] == "completed"


def test_jobs_are_named_by_an_own_target(command, tmp_path, launched):
    own = ("optimizer._target_=torch.optim.Rprop", "optimizer.lr=0.1")
    sweep(command, tmp_path, *own, "seed=0,1", "hydra.sweep.dir=mine")
    chosen = [each["choices"]["optimizer"] for each in results(tmp_path / "mine").values()]
    assert chosen == ["torch.optim.Rprop", "torch.optim.Rprop"]


@pytest.mark.slow
def test_the_sixth_job_finds_the_process_as_the_third_did(command_process, tmp_path):
    own = [text for text in QUICK if text != "~logger.tensorboard"]
    own += ["+logger.resources._target_=tests.quick.ResourceLogger", "seed=0,1,2,3,4,5", "hydra.sweep.dir=sweep"]
    done = command_process("train", "--multirun", *own, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    held = [json.loads((tmp_path / f"sweep/{n}_seed-{n}/resources.json").read_text()) for n in (2, 3, 5)]
    objects = [each.pop("objects") for each in held]
    assert max(objects) - min(objects) < 100 < objects[0]  # the configs of one job would be a thousand
    descriptors = [each.pop("descriptors") for each in held]
    assert max(descriptors) - min(descriptors) <= 1  # the sweep's bar may be reading a file; one per job would be three
    assert held[0] == held[1] == held[2]


AUGMENTATIONS = [
    (("augmentation=none,affine",), [(True, "Augmentation", "none"), (True, "Affine", "affine")]),
    (("data.augment=false,true",), [(False, "Affine", "off"), (True, "Affine", "affine")]),
    (("augmentation.degrees=10,20",), [(True, "Affine", "affine"), (True, "Affine", "affine")]),
]


@pytest.mark.parametrize(("arguments", "expected"), mostly_slow(AUGMENTATIONS, quick=1))
def test_augmentations_can_be_swept(command, tmp_path, launched, arguments, expected):
    command("train", "--multirun", *QUICK, *arguments, "hydra.sweep.dir=mine", cwd=tmp_path)
    found = []
    for name, result in results(tmp_path / "mine").items():
        config = OmegaConf.load(tmp_path / "mine" / name / "config.yaml")
        target = config.augmentation["_target_"].rpartition(".")[2]
        found.append((config.data.augment, target, result["choices"]["augmentation"]))
    assert found == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    mostly_slow(
        [
            ([*DROPOUTS, "data.augment=true", "optimizer.lr=0.5"], "holds a run of other settings (optimizer.lr)"),
            (
                ["optimizer.lr=interval(0.1,1)"],
                "has infinitely many values; list them, or use hydra/sweeper=random_search",
            ),
            (["seed=range(3,3)"], "seed=range(3,3) has no values, so the sweep has no jobs"),
            (["model=glob(nothing*)"], "model=glob(nothing*) has no values, so the sweep has no jobs"),
            (["trainer.epochs=2,0"], "trainer.epochs=0 must be above 0"),
            (["data.augment=false,true", "trainer.patience=0"], "trainer.patience=0"),
            (["data.augment=false,true", "augmentation=cutmix"], "does nothing with data.augment=false"),
            (["seed=0,1", "hydra.sweeper.metric=top1"], "hydra.sweeper.metric=top1 is not measured: write metrics."),
            (["seed=0,1", "hydra.sweeper.direction=up"], "hydra.sweeper.direction=up is not one of maximize, minimize"),
            (["seed=0,1", "hydra.sweeper.max_batch_size=0"], "hydra.sweeper.max_batch_size=0 must be at least 1"),
            (["seed=0,1", "hydra/sweeper=random_search"], "has nothing to search"),
            (
                ["model.width=1,2", "hydra/sweeper=random_search", "hydra.sweeper.rungs=[2]"],
                "stay below trainer.epochs=2",
            ),
            (["model.width=1,2", "hydra/sweeper=random_search", "hydra.sweeper.n_candidates=0"], "must be at least 1"),
            (["model.width=1,2", "hydra/sweeper=random_search", "hydra.sweeper.rungs=2"], "must be a list of epochs"),
            (
                ["seed=interval(0,3)", "hydra/sweeper=random_search", "model.width=1,2"],
                "seed=interval(0,3) has infinitely",
            ),
            (["seed=0,1", "hydra.sweeper.metric=metrics.val.top2"], "metrics.val.top2 is not measured"),
            (["seed=0,1", "data.validation=none"], "data.validation=none measures no metrics.val.top1"),
            (["data.fold=0,1"], "data.fold=0 does nothing without data.validation=fold"),
            (["seed=0,1", "+foo=1"], "foo is not a setting"),
            (["seed=0,1", "resume=mine/0_model.dropout-0.5"], "continues one run; leave --multirun out"),
            (["seed=0,1", "pause_at=1"], "pause_at=1 pauses one run; use hydra.sweeper.rungs"),
            (["seed=0,1", "init.run=nowhere"], "init.run=nowhere is not the folder of a run"),
            (["seed=0,1", "hydra/launcher=jobli"], "hydra/launcher=jobli"),
            (["seed=0,1", "hydra.job.chdir=true"], "hydra.job.chdir=true is not supported"),
        ],
        quick=7,
    ),
)
def test_a_sweep_that_cannot_be_meant_ends_before_its_first_job(command, swept, arguments, sentence):
    place, _ = swept
    before = sorted(place.rglob("*"))
    done = command("train", "--multirun", *QUICK, *arguments, cwd=place)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ") and sentence in done.stderr
    assert sorted(place.rglob("*")) == before
