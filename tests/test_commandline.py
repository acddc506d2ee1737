import pytest

from src.commandline import prepare_arguments, run_folder
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
