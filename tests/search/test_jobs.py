import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.results.history import read_history
from src.search.jobs import folder_name
from tests.conftest import ROOT, SMALL, train_in


def test_job_folders_need_no_quotes():
    overrides = ["experiment=report/deep", "model.dense=[128,64]", "++optimizer.lr=1e-3"]
    name = folder_name(3, overrides, ["experiment", "model.dense", "++optimizer.lr"])
    assert name == "3_experiment-report-deep_model.dense-128-64_optimizer.lr-1e-3"


def test_job_folders_name_what_is_swept():
    assert folder_name(1, ["data.augment=True", "data.mean=[0.5,0.5,0.5]", "seed=1"], ["seed"]) == "1_seed-1"


def sweep(command, cwd, *arguments):
    return command("train", "--multirun", *SMALL, "data.augment=true", *arguments, cwd=cwd)


def results(folder):
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/result.json"))}


DROPOUTS = ("model.dropout=0.5,2,0.25", "hydra.sweep.dir=mine")


@pytest.fixture(scope="module")
def swept(command, tmp_path_factory):
    """A sweep whose second of three jobs fails: the place where it was started, and what it printed."""
    place = tmp_path_factory.mktemp("swept")
    return place, sweep(command, place, *DROPOUTS)


@pytest.mark.slow
def test_a_failing_job_is_a_row_with_its_reason_and_the_others_go_on(swept):
    place, done = swept
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "error: 1 of 3 jobs are not completed."
    rows = {row["model.dropout"]: row for row in csv.DictReader((place / "mine" / "sweep.csv").open())}
    assert [rows[name]["status"] for name in ("0.5", "0.25", "2")] == ["completed", "completed", "failed"]
    assert "dropout=2 must lie in [0, 1)" in rows["2"]["reason"]
    own = results(place / "mine")
    assert float(rows["0.5"]["mean"]) == own["0_model.dropout-0.5"]["metrics"]["val"]["top1"]
    assert re.search(r"1_model.dropout-2 +failed +model .*must lie in", done.stdout)
    assert "to go on with what is not completed:" in done.stdout


@pytest.mark.slow
def test_a_job_is_the_same_alone_and_third_in_a_sweep(swept, small, tmp_path):
    alone = train_in(tmp_path / "alone", small("data.augment=true", "model.dropout=0.25"))
    third = swept[0] / "mine" / "2_model.dropout-0.25"
    assert json.loads((third / "result.json").read_text())["metrics"] == alone.load_result()["metrics"]
    own, other = (torch.load(path, weights_only=True)["model"] for path in
                  (alone.checkpoint("last"), third / "checkpoints" / "last.pt"))  # fmt: skip
    assert all(torch.equal(own[name], other[name]) for name in own)


@pytest.mark.slow
def test_several_at_once_come_to_the_same_results(command, swept, tmp_path):
    done = sweep(command, tmp_path, "model.dropout=0.5,0.25,0", "hydra.sweep.dir=mine", "hydra/launcher=joblib",
                 "hydra.launcher.n_jobs=2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    both, one = results(tmp_path / "mine"), results(swept[0] / "mine")
    assert len(both) == 3
    assert both["0_model.dropout-0.5"]["metrics"] == one["0_model.dropout-0.5"]["metrics"]
    assert both["1_model.dropout-0.25"]["metrics"] == one["2_model.dropout-0.25"]["metrics"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="finds the process by /proc/locks")
def test_of_several_at_once_one_that_is_killed_takes_none_with_it(tmp_path):
    sweep = start_sweep(tmp_path, "seed=0,1", "trainer.epochs=400", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    first, second = (await_history(sweep, tmp_path / "mine" / name) for name in ("0_seed-0", "1_seed-1"))
    os.kill(worker_of(first), signal.SIGKILL)
    rows = len(read_history(second))
    while len(read_history(second)) < rows + 3:  # goes on
        assert sweep.poll() is None
        time.sleep(0.02)
    sweep.send_signal(signal.SIGTERM)
    output, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 143
    assert "Traceback" not in output and "to go on with what is not completed:" in output
    assert [result["status"] for result in results(tmp_path / "mine").values()] == ["running", "interrupted"]
    assert re.search(r"0_seed-0 +killed +the process ended without a word", output)
    assert all("hydra/launcher=joblib" in result["commands"][0] for result in results(tmp_path / "mine").values())


@pytest.mark.slow
def test_a_signal_finds_the_last_job_while_other_workers_are_idle(tmp_path):
    sweep = start_sweep(tmp_path, "trainer.epochs=1,400", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    await_history(sweep, tmp_path / "mine" / "1_trainer.epochs-400")
    while results(tmp_path / "mine")["0_trainer.epochs-1"]["status"] != "completed":
        assert sweep.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)  # its process is gone
    sweep.send_signal(signal.SIGTERM)
    output, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 143 and "Traceback" not in output
    assert [result["status"] for result in results(tmp_path / "mine").values()] == ["completed", "interrupted"]


def start_sweep(place, *arguments):
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from src.train import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", script, "--multirun", *SMALL, "hydra.sweep.dir=mine", *arguments],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def await_history(sweep, run):
    while not (run / "history.csv").exists():
        assert sweep.poll() is None
        time.sleep(0.02)
    return run / "history.csv"


def worker_of(history):
    """The process that holds the lock of the run's folder, as Linux lists it."""
    inode = (history.parent / ".lock").stat().st_ino
    (line,) = [line for line in Path("/proc/locks").read_text().splitlines() if f":{inode} " in line]
    return int(line.split()[4])


@pytest.mark.slow
def test_the_table_is_made_again_from_the_folders_alone(command, swept, tmp_path):
    place, _ = swept
    done = command("report", f"runs={place / 'mine'}", "hydra.run.dir=report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "sweep.csv").read_text() == (place / "mine" / "sweep.csv").read_text()
    assert (tmp_path / "report" / "sweep.md").read_text() == (place / "mine" / "sweep.md").read_text()


@pytest.mark.slow
def test_a_killed_sweep_goes_on_with_what_is_missing(command, small, tmp_path):
    arguments = ("seed=0,1,2", "trainer.epochs=4")
    run = start_sweep(tmp_path, *arguments)
    await_history(run, tmp_path / "mine" / "1_seed-1")
    run.kill()
    run.communicate()
    before = results(tmp_path / "mine")
    assert [result["status"] for result in before.values()] == ["completed", "running", "waiting"]
    done = command("train", "--multirun", *SMALL, "hydra.sweep.dir=mine", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = results(tmp_path / "mine")
    assert after["0_seed-0"] == before["0_seed-0"]  # untouched
    assert "0_seed-0 is completed; there is nothing left to do" in done.stdout
    assert "going on after epoch" in (tmp_path / "mine" / "1_seed-1" / "train.log").read_text()
    whole = train_in(tmp_path / "whole", small("seed=1", "trainer.epochs=4"))
    assert after["1_seed-1"]["metrics"] == whole.load_result()["metrics"]
    assert after["2_seed-2"]["status"] == "completed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([*DROPOUTS, "optimizer.lr=0.5"], "holds a run of other settings (optimizer.lr)"),
        (["optimizer.lr=interval(0.1,1)"], "has no end of values; list them, or use hydra/sweeper=random_search"),
        (["trainer.epochs=2,0"], "trainer.epochs=0 must be at least 1"),
        (["data.augment=false,true", "trainer.patience=0"], "trainer.patience=0"),
        (["seed=0,1", "hydra.sweeper.metric=top1"], "hydra.sweeper.metric=top1 is not measured: write metrics."),
        (["seed=0,1", "hydra/sweeper=random_search"], "has nothing to search"),
        (["model.width=1,2", "hydra/sweeper=random_search", "hydra.sweeper.rungs=[2]"], "stay below trainer.epochs=2"),
        (["model.width=1,2", "hydra/sweeper=random_search", "hydra.sweeper.n_candidates=0"], "must be at least 1"),
        (["model.width=1,2", "hydra/sweeper=random_search", "hydra.sweeper.rungs=2"], "must be a list of epochs"),
        (["seed=interval(0,3)", "hydra/sweeper=random_search", "model.width=1,2"], "seed=interval(0,3) has no end"),
        (["seed=0,1", "hydra.sweeper.metric=metrics.val.top2"], "metrics.val.top2 is not measured"),
        (["seed=0,1", "data.validation=none"], "data.validation=none measures no metrics.val.top1"),
        (["data.fold=0,1"], "data.fold=0 does nothing without data.validation=fold"),
        (["seed=0,1", "+foo=1"], "foo is not a setting"),
        (["seed=0,1", "resume=mine"], "resume=mine goes on with one run; take --multirun away"),
        (["seed=0,1", "init.run=nowhere"], "init.run=nowhere is not the folder of a run"),
        (["seed=0,1", "hydra/launcher=jobli"], "hydra/launcher=jobli"),
    ],
)
def test_a_sweep_that_cannot_be_meant_ends_before_its_first_job(command, swept, arguments, sentence):
    place, _ = swept
    before = sorted(place.rglob("*"))
    done = sweep(command, place, *arguments)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ") and sentence in done.stderr
    assert sorted(place.rglob("*")) == before
