import shutil
from types import SimpleNamespace

import pytest

from src.run_dir import RunDir
from src.sweeps import progress as progress_module
from src.sweeps.job import Job
from src.sweeps.progress import SweepProgress, best_of

METRIC = "metrics.val.top1"


@pytest.fixture
def clock(monkeypatch):
    """clock.now is what the progress takes for the time, in seconds."""
    stopped = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: stopped.now))
    return stopped


@pytest.fixture
def jobs(tmp_path):
    """Four jobs of four epochs, which wait."""
    made = []
    for number in range(4):
        run_dir = RunDir(tmp_path / f"{number}_seed-{number}")
        run_dir.path.mkdir()
        run_dir.update_result(status="waiting")
        made.append(Job(run_dir, (f"seed={number}",), ("seed",), epochs=4))
    return made


def end(job, top1, **facts):
    job.run_dir.update_result(
        **{"status": "completed", "epochs": 4, "seconds": 9.0, "metrics": {"val": {"top1": top1}}, **facts}
    )


def test_jobs_one_by_one_say_what_they_are_and_how_the_sweep_stands(jobs, clock, capsys):
    progress = SweepProgress(METRIC, "maximize", one_by_one=True)
    with progress.launching(jobs, [], later=0, pause_at=None):
        for number, top1 in enumerate((0.3, 0.2)):
            progress.tell_start(jobs[number])
            clock.now += 10.0
            end(jobs[number], top1)
            progress.refresh(tell=True)
    assert capsys.readouterr().out.splitlines() == [
        "job 1 of 4: seed=0",
        "job 1 of 4 completed: val top1 30.00 %, 9 s of training",
        "  1/4 done, 30 s left, best 30.00 % (job 1)",
        "",
        "job 2 of 4: seed=1",
        "job 2 of 4 completed: val top1 20.00 %, 9 s of training",
        "  2/4 done, 20 s left, best 30.00 % (job 1)",
    ]


def test_jobs_of_other_processes_are_told_by_their_files_with_the_reason_of_a_failure(jobs, clock, capsys):
    end(jobs[0], 0.5)  # by an earlier start of the sweep
    progress = SweepProgress(METRIC, "maximize", one_by_one=False)
    with progress.launching(jobs[1:], jobs[:1], later=0, pause_at=None):
        clock.now += 5.0
        jobs[1].run_dir.update_result(status="running", epochs=2)
        jobs[2].run_dir.update_result(status="failed", reason="so not.")
        progress.refresh(tell=True)
        progress.refresh(tell=True)  # nothing new
    assert capsys.readouterr().out.splitlines() == [
        "job 2 of 4 starts: seed=1",
        "job 3 of 4 failed: so not.",
        "  2/4 done, 1 failed, 1 running, 15 s left, best 50.00 % (job 1)",
    ]


def test_a_rung_ends_a_job_and_what_an_earlier_start_left_does_not(jobs, clock, capsys):
    jobs[0].run_dir.update_result(status="failed", reason="an old one")
    progress = SweepProgress(METRIC, "maximize", one_by_one=False)
    with progress.launching(jobs[:2], jobs[2:], later=0, pause_at=2):
        progress.refresh(tell=True)
        clock.now += 6.0
        end(jobs[1], 0.1, status="paused", epochs=2, rungs={"2": {"metrics": None}})
        progress.refresh(tell=True)
    assert capsys.readouterr().out.splitlines() == [
        "job 2 of 4 paused: val top1 10.00 %, 9 s of training",
        "  1/2 at epoch 2, 6 s left, best 10.00 % (job 2)",
    ]


def test_a_job_whose_folder_was_removed_waits(jobs, clock):
    progress = SweepProgress(METRIC, "maximize", one_by_one=False)
    with progress.launching(jobs, [], later=0, pause_at=None):
        shutil.rmtree(jobs[1].run_dir.path)
        progress.refresh(tell=True)
        assert progress.standing() == "0/4 done"


def test_the_pace_of_earlier_launches_counts(jobs, clock):
    progress = SweepProgress(METRIC, "maximize", one_by_one=True)
    with progress.launching(jobs[:1], [], later=3, pause_at=None):
        clock.now += 8.0
        end(jobs[0], 0.1)
        progress.refresh(tell=False)
    with progress.launching(jobs[1:2], jobs[:1], later=2, pause_at=None):
        assert progress.standing() == "1/4 done, 24 s left, best 10.00 % (job 1)"
        clock.now += 4.0
        assert "20 s left" in progress.standing()  # it runs down between two readings


def test_the_best_is_the_first_of_equal_ones(jobs):
    results = {job: {"metrics": {"val": {"top1": top1}}} for job, top1 in zip(jobs, (0.2, 0.4, 0.4, 0.1), strict=True)}
    assert best_of(results, METRIC, "maximize") == (jobs[1], 0.4)
    assert best_of(results, METRIC, "minimize") == (jobs[3], 0.1)
    assert best_of({jobs[0]: {"metrics": None}}, METRIC, "maximize") is None
