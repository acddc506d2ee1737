import pytest

from src.errors import UserError
from src.resolvers import jobs_at_once, run_folder, sweep_folder
from src.sweeps.workers import num_cpus
from tests.conftest import create_in


def test_folders_of_runs_started_in_one_second_differ():
    names = {run_folder(None, "deep", None) for _ in range(10)}
    assert len(names) == 10
    assert all("_deep_" in name for name in names)
    assert len({sweep_folder() for _ in range(10)}) == 10


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


@pytest.mark.parametrize(("gpus", "expected"), [(0, num_cpus()), (1, 2), (4, 4)])
def test_as_many_jobs_at_once_as_the_machine_can_run(monkeypatch, gpus, expected):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert jobs_at_once() == expected
