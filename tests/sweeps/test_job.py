import shlex
from pathlib import Path

import pytest

from src.run_dir import RunDir
from src.sweeps.job import Job, folder_of, tell_problem


def job(*overrides, swept=(), name="2_seed-1"):
    return Job(RunDir(Path("sweep") / name), overrides, swept, epochs=4)


def test_a_job_is_named_by_what_differs():
    found = job("model=deep", "++optimizer.lr=0.1", "seed=1", swept=("++optimizer.lr", "seed"))
    assert (found.number, found.title) == (3, "optimizer.lr=0.1 seed=1")


def test_a_job_is_started_by_resuming_its_folder():
    overrides = job().resume_overrides(pause_at=2)
    assert folder_of(overrides) == Path("sweep/2_seed-1")
    assert overrides[1:] == ["hydra.sweep.dir=sweep", "hydra.sweep.subdir=2_seed-1", "trust=true", "pause_at=2"]


@pytest.mark.parametrize("name", ["a b", "it's", r"back\slash", r"both\'s", "2026"])
def test_the_folder_of_a_job_may_have_any_name(name):
    overrides = Job(RunDir(Path(name) / "0_seed-1")).resume_overrides(pause_at=None)
    assert folder_of(overrides) == Path(name) / "0_seed-1"


@pytest.mark.parametrize(
    ("overrides", "swept", "words"),
    [
        (
            ["model.dense=[32,16]", "++optimizer.lr=0.1"],
            ["++optimizer.lr"],
            ["model.dense=[32,16]", "optimizer.lr=0.1"],
        ),
        (["seed=7", "model=deep"], ["model"], ["seed=7", "model=deep"]),
        (["model=deep", "seed=7"], ["seed"], ["model=deep"]),
        (["data.validation=fold", "data.folds=5", "data.fold=0", "model=deep"], ["data.fold"], ["model=deep"]),
        (["+data.x='a b'", "~logger.console"], [], ["+data.x='a b'", "~logger.console"]),
    ],
)
def test_the_command_that_trains_a_setting_can_be_pasted(overrides, swept, words):
    command = job(*overrides, swept=tuple(swept)).train_command()
    assert shlex.split(command) == ["python", "-m", "src.train", *words]


def test_the_trained_share_is_that_of_the_planned_epochs():
    assert job().trained_share({}) == 0 and job().trained_share({"epochs": 1}) == 0.25
    assert job().trained_share({"epochs": 1, "planned_epochs": 2.0}) == 0.5  # settled by trainer.max_minutes
    assert Job(job().run_dir).trained_share({"epochs": 1}) == 0


def test_a_problem_is_told_where_the_run_does_not_know_its_end(tmp_path, capsys):
    run_dir = RunDir(tmp_path / "0_a")
    run_dir.path.mkdir()
    run_dir.update_result(status="running")
    tell_problem(run_dir.path, "ended with code -9")
    run_dir.update_result(status="failed", reason="so not.")
    tell_problem(run_dir.path, "error: so not.")
    assert capsys.readouterr().err == f"{run_dir.path}: ended with code -9\n"
    run_dir.result_file.write_text("damaged")
    tell_problem(run_dir.path, "ended with code -9")
    assert capsys.readouterr().err == f"{run_dir.path}: ended with code -9\n"
