import os
import signal

import pytest
from hydra.errors import HydraException, InstantiationException

from src import cli
from src.cli import (
    choices,
    explain,
    jobs_at_once,
    prepare_arguments,
    run_folder,
    sweep_folder,
)
from src.errors import Interrupted, UserError
from src.overrides import is_override
from tests.conftest import create_in


def test_folders_of_runs_started_in_one_second_differ():
    names = {run_folder(None, "deep", None) for _ in range(50)}
    assert len(names) == 50
    assert all("_deep_" in name for name in names)
    assert len({sweep_folder() for _ in range(50)}) == 50


def test_run_folder_is_named_after_the_experiment():
    assert "_course2021-deep_" in run_folder(None, "baseline", "course2021/deep")


def test_resume_of_a_missing_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not the folder of a run"):
        run_folder(str(tmp_path), "deep", None)


def test_a_resumed_run_has_its_own_folder_and_may_lie_in_the_home_folder(small, tmp_path, monkeypatch):
    create_in(tmp_path / "mine", small())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_folder(str(tmp_path / "mine"), "deep", None) == str(tmp_path / "mine")
    assert run_folder("~/mine", "deep", None) == str(tmp_path / "mine")


def test_flags_may_stand_among_the_overrides():
    typed = ["model=deep", "--multirun", "optimizer.lr=0.1,0.2", "--cfg", "job", "+data.x=1"]
    assert prepare_arguments(typed, "train") == [
        "--multirun",
        "--cfg",
        "job",
        "model=deep",
        "++optimizer.lr=0.1,0.2",
        "+data.x=1",
    ]


def test_a_deletion_is_an_override():
    assert is_override("~logger.tensorboard") and is_override("a=b")
    assert not is_override("--info=all") and not is_override("job")
    assert prepare_arguments(["~logger.tensorboard", "--multirun"], "train") == ["--multirun", "~logger.tensorboard"]


@pytest.mark.parametrize(
    ("typed", "expanded"),
    [
        ("data.root=~/images", "data.root=/home/me/images"),
        ("hydra.run.dir=~/runs/a", "hydra.run.dir=/home/me/runs/a"),
        ("runs=[~/a,~/b]", "runs=[/home/me/a,/home/me/b]"),
        ("data.root='~/my images'", "data.root='/home/me/my images'"),
        ("data.root=a~/b", "data.root=a~/b"),
        ("~model._target_", "~model._target_"),
    ],
)
def test_a_tilde_is_the_home_folder(monkeypatch, typed, expanded):
    monkeypatch.setenv("HOME", "/home/me")
    assert prepare_arguments([typed], "train") == [expanded]


@pytest.mark.parametrize("argument", ["hydra.job.chdir=true", "++hydra.job.chdir=True", "hydra.job.chdir=1"])
def test_a_run_does_not_change_the_folder(argument):
    with pytest.raises(UserError, match=r"hydra\.job\.chdir=\w+ is not supported"):
        prepare_arguments([argument], "train")
    assert prepare_arguments(["hydra.job.chdir=false"], "train") == ["hydra.job.chdir=false"]


@pytest.mark.parametrize("argument", ["model=null", "loss="])
def test_a_group_needs_a_choice(argument):
    with pytest.raises(UserError, match=f"{argument} names no choice"):
        prepare_arguments([argument], "train")
    assert prepare_arguments(["experiment=null"], "train") == ["experiment=null"]


def test_choices_of_a_group_are_its_files_without_those_for_others():
    assert {"course2021/deep", "quickstart"} <= set(choices("experiment"))
    assert not [name for name in choices("experiment") + choices("model") if name.rpartition("/")[2].startswith("_")]


@pytest.mark.parametrize(("gpus", "expected"), [(0, os.cpu_count()), (1, 2), (4, 4)])
def test_as_many_jobs_at_once_as_the_machine_can_run(monkeypatch, gpus, expected):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert jobs_at_once() == expected


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (None, 0),
        (UserError("so not."), 1),
        (OSError("so not."), 1),
        (Interrupted(signal.SIGTERM), 143),
        (Interrupted(signal.SIGINT), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(command, monkeypatch, ending, code):
    def task(_config):
        if ending:
            raise ending

    monkeypatch.setattr("src.predict.predict", task)
    done = command("predict")
    assert (done.returncode, done.stderr) == (code, "error: so not.\n" if code == 1 else "")


def test_a_message_is_not_cut_after_a_colon():
    cause = TypeError("Grid.__init__() got an unexpected keyword argument 'foo'")
    error = InstantiationException(f"Error in call to target 'hydra_plugins.cifarlab.Grid':\n{cause!r}\n")
    assert explain(error, "train").endswith("unexpected keyword argument 'foo'\")")
    assert explain(HydraException("Not so: because"), "train") == "Not so: because"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["hydra.sweeper.foo=1", "--multirun"],
            "hydra.sweeper.foo is not a setting; see --cfg hydra",
        ),
        (["+hydra.sweeper.foo=1", "--multirun"], "unexpected keyword argument 'foo'"),
        (
            ["hydra/launcher=joblib", "hydra.launcher.n_jobs=0", "--multirun"],
            "hydra.launcher.n_jobs=0 must be at least",
        ),
        (["lr=0.1"], "lr is not a setting of its own: write optimizer.lr"),
    ],
)
def test_what_hydra_refuses_is_named(command, tmp_path, arguments, message):
    done = command("train", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and message in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_config_folder_is_that_of_the_checkout():
    assert (cli.CONFIG_DIR / "train.yaml").is_file()
