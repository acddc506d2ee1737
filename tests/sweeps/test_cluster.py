"""Jobs of submitit on this machine; tests/cluster/test_slurm.py has the same on a real SLURM cluster."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.errors import Interrupted, UserError
from src.sweeps.cluster import (
    JOBS_FILE,
    LOGS,
    LocalQueue,
    SlurmQueue,
    TrainJob,
    environment,
    require_slurm,
    run_all,
    write_ids,
)
from tests.conftest import SMALL, create_in, process_environment

pytest.importorskip("submitit")


class FakeQueue:
    """Jobs that end after `polls` looks at the queue, at most `at_once` of which have been seen."""

    poll_seconds, outlives_command = 0.01, True

    def __init__(self, polls=2, active=()):
        self.left = dict.fromkeys(active, polls)
        self.polls, self.submitted, self.most = polls, [], 0

    def submit(self, jobs):
        ids = [str(len(self.submitted) + n) for n, _ in enumerate(jobs, 1)]
        self.submitted += [job.overrides[0] for job in jobs]
        self.left.update(dict.fromkeys(ids, self.polls))
        return ids

    def problem(self, number):
        return f"problem of {number}"

    def unfinished(self, ids):
        self.most = max(self.most, len(ids))
        for number in ids:
            if number in self.left:
                self.left[number] -= 1
        return {number for number in ids if self.left.get(number, 0) > 0}


@pytest.fixture
def jobs(config_of, tmp_path, monkeypatch):
    """The overrides of three jobs, whose folders wait."""
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        create_in(Path("sweep") / name, config_of())
    return [[f"resume=sweep/{name}"] for name in "abc"]


def test_all_jobs_are_submitted_and_waited_for(jobs, capsys):
    queue = FakeQueue()
    run_all(queue, jobs, Path("sweep"), at_once=3)
    assert queue.submitted == ["resume=sweep/a", "resume=sweep/b", "resume=sweep/c"]
    assert json.loads((Path("sweep") / JOBS_FILE).read_text()) == {"a": "1", "b": "2", "c": "3"}
    printed = capsys.readouterr()
    assert printed.out == "submitted 3 jobs: 1, 2, 3\n"
    assert printed.err.splitlines() == [f"sweep/{name}: problem of {n}" for n, name in enumerate("abc", 1)]


def test_no_more_than_wanted_run_at_once(jobs):
    queue = FakeQueue()
    run_all(queue, jobs, Path("sweep"), at_once=2)
    assert queue.most == 2 and len(queue.submitted) == 3


def test_jobs_that_are_still_queued_are_not_submitted_again(jobs, capsys):
    (Path("sweep") / JOBS_FILE).write_text(json.dumps({"a": "7", "b": "8"}))
    queue = FakeQueue(polls=3, active=["7"])
    run_all(queue, jobs, Path("sweep"), at_once=3)
    assert queue.submitted == ["resume=sweep/b", "resume=sweep/c"]
    assert "waiting for 1 job already queued or running" in capsys.readouterr().out


def test_an_interrupted_wait_says_that_the_jobs_go_on(jobs, capsys, monkeypatch):
    queue = FakeQueue(polls=1000)
    monkeypatch.setattr(queue, "unfinished", lambda ids: (_ for _ in ()).throw(Interrupted(15)) if ids else set())
    with pytest.raises(Interrupted):
        run_all(queue, jobs, Path("sweep"), at_once=3)
    assert "submitted jobs go on without this command; typed again, it waits for them" in capsys.readouterr().out


@pytest.mark.slow
def test_a_job_of_this_machine_runs_with_its_threads(tmp_path):
    with environment(PYTHONPATH=process_environment()["PYTHONPATH"]):
        queue = LocalQueue(tmp_path, 3, {"timeout_min": 5})
        ids = queue.submit([TrainJob(["--help"], "typed")])
    deadline = time.monotonic() + 60
    while queue.unfinished(ids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not queue.unfinished(ids) and not queue.unfinished(["999999999"])
    assert "Train a network" in (tmp_path / LOGS / f"{ids[0]}_0_log.out").read_text()


def test_before_a_time_limit_the_training_saves_and_the_job_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    script = "#!/bin/sh\ntrap 'touch saved; exit 143' TERM\ntouch started\nwhile true; do sleep 0.05; done\n"
    (tmp_path / "python").write_text(script)
    (tmp_path / "python").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    job, continued = TrainJob(["seed=0"], "typed"), []

    def announce(*_):
        continued.append(job.checkpoint())

    before = signal.signal(signal.SIGALRM, announce)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1)
        assert job() == 143
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (tmp_path / "saved").exists() and continued[0].function.overrides == ["seed=0"]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """slurm("squeue", "echo '5_0 RUNNING'") -> SLURM's command squeue does that."""

    def write(name, script):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    for name in ("srun", "squeue", "sbatch", "scancel"):
        write(name, "")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return write


def test_squeue_tells_what_is_unfinished_and_silence_means_all(slurm, tmp_path):
    queue = SlurmQueue(tmp_path, {"time": 5, "partition": None, "array_parallelism": 2}, 3)
    slurm("squeue", "echo '5_0 RUNNING'\necho '5_1 COMPLETED'")
    assert queue.unfinished(["5_0", "5_1", "5_2"]) == {"5_0"}
    slurm("squeue", "exit 1")
    assert queue.unfinished(["5_0", "5_1"]) == {"5_0", "5_1"}


def test_what_slurm_refuses_is_one_sentence(slurm, tmp_path):
    slurm("sbatch", "echo 'sbatch: error: invalid partition specified: x' >&2\nexit 1")
    with pytest.raises(UserError, match=r"SLURM refuses the jobs: .*invalid partition"):
        SlurmQueue(tmp_path, {"time": 5}, 3).submit([TrainJob([], "typed")] * 2)
    with pytest.raises(UserError, match=r"hydra/launcher=slurm: .*partion"):
        SlurmQueue(tmp_path, {"partion": "low"}, 3)


@pytest.mark.parametrize("recorded", [False, True])
def test_an_array_whose_ids_were_not_written_is_cancelled_before_the_next(slurm, tmp_path, recorded):
    slurm("sbatch", "grep -o 'job-name=.*' $1 >> calls\necho Submitted batch job 8")
    slurm("squeue", "echo '8_0 RUNNING'\necho '8_1 PENDING'")
    slurm("scancel", "echo $@ >> calls")
    for _ in range(2):  # as many starts of the command
        ids = SlurmQueue(tmp_path, {"time": 5}, 3).submit([TrainJob([], "typed")] * 2)
        if recorded:
            write_ids(tmp_path, dict(zip("ab", ids, strict=True)))
    calls = (tmp_path / "calls").read_text()
    first = re.match(r"job-name=(cifarlab-[0-9a-f]{8})\n", calls)[1]
    assert ids == ["8_0", "8_1"] and calls.count("job-name=") == 2 and calls.count(f"job-name={first}") == 1
    assert (f"--name {first}" in calls) is not recorded


def test_without_slurm_its_launcher_is_refused(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="needs SLURM's sbatch"):
        require_slurm()


@pytest.mark.slow
def test_a_sweep_by_submitit_ends_in_the_table_and_continues(tmp_path):
    command = [sys.executable, "-m", "src.train", "--multirun", *SMALL, "seed=0,1", "hydra/launcher=submitit_local"]
    command += ["hydra.sweep.dir=sweep", "hydra.launcher.n_jobs=2"]
    for expected in ("submitted 2 jobs", "nothing left to do"):
        done = subprocess.run(command, cwd=tmp_path, env=process_environment(), capture_output=True, text=True)
        assert done.returncode == 0 and expected in done.stdout and "completed" in done.stdout, done.stderr
