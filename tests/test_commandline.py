import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.commandline import job_folder, prepare_arguments, quoted_override, run_folder
from src.errors import UserError


def test_run_folders_started_in_one_second_differ():
    names = {run_folder(None, "deep", None) for _ in range(50)}
    assert len(names) == 50
    assert all("_deep_" in name for name in names)


def test_run_folder_is_named_after_the_experiment():
    assert "_report-deep_" in run_folder(None, "baseline", "report/deep")


def test_resume_of_a_missing_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not the folder of a run"):
        run_folder(str(tmp_path), "deep", None)


def test_job_folders_need_no_quotes(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train"])
    name = job_folder(3, ["experiment=report/deep", "model.dense=[128,64]", "++optimizer.lr=1e-3"])
    assert name == "3_experiment-report-deep_model.dense-128-64_optimizer.lr-1e-3"


@pytest.mark.parametrize("path", ["outputs/a_run-1.5", "outputs/a b", "outputs/x=1,y", "it's", "a[b]"])
def test_quoted_override_survives_shell_and_hydra(path):
    script = "import sys; print(sys.argv[1])"
    shell = subprocess.run(
        f'{sys.executable} -c "{script}" {quoted_override("run", path)}', shell=True, capture_output=True, text=True
    )
    override = OverridesParser.create().parse_override(shell.stdout.rstrip("\n"))
    assert override.value() == path


def test_job_folders_name_what_is_swept(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train", "--multirun", "data.augment=true", "data.mean=[.5,.5,.5]", "seed=0,1"])
    assert job_folder(1, ["data.augment=True", "data.mean=[0.5,0.5,0.5]", "seed=1"]) == "1_seed-1"


def test_flags_may_stand_among_the_overrides():
    typed = ["model=deep", "--multirun", "optimizer.lr=0.1,0.2", "--cfg", "job", "+data.x=1"]
    assert prepare_arguments(typed) == [
        "--multirun",
        "--cfg",
        "job",
        "model=deep",
        "++optimizer.lr=0.1,0.2",
        "+data.x=1",
    ]
