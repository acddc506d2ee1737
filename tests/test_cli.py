import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.cli import prepare_arguments
from src.errors import Interrupted, UserError
from src.overrides import is_override
from tests.conftest import process_environment


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


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("cifarlab-train mod", {"model.", "model="}),
        ("cifarlab-train model=de", {"model=deep", "model=deeper", "model=densenet121"}),
        ("cifarlab-train model=deep model.dr", {"model.dropout="}),
        ("cifarlab-train --multirun hydra/swee", {"hydra/sweeper="}),
    ],
)
def test_hydra_completes_what_is_typed(command, monkeypatch, line, offered):
    monkeypatch.setenv("COMP_LINE", line)
    done = command("train", "-sc", "query=bash")
    assert (done.returncode, set(done.stdout.split())) == (0, offered)


ASK_BASH = """
eval "$(cifarlab-train -sc install=bash)"
complete -p cifarlab-train | grep -q hydra_bash_completion || exit 3
COMP_LINE="cifarlab-train model=de" COMP_POINT=23 COMP_CWORD=1
hydra_bash_completion
echo "${COMPREPLY[@]}"
"""


@pytest.mark.slow
def test_bash_completes_an_installed_command(tmp_path):
    """The script is the one that pip writes for an entry point."""
    script = tmp_path / "cifarlab-train"
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom src.train import main\nsys.exit(main())\n")
    script.chmod(0o755)
    environment = {**process_environment(), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", ASK_BASH], capture_output=True, text=True, env=environment, cwd=Path.cwd())
    assert done.stdout.split() == ["model=deep", "model=deeper", "model=densenet121"], done.stderr
