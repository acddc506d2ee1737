"""The jobs of a sweep as jobs of submitit: an array of SLURM, or processes of this machine (submitit_local)."""

import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from src.errors import Interrupted, UserError, first_line, require
from src.files import read_text, write_text
from src.formatting import count
from src.overrides import COMMAND, exact_command
from src.processes import LIFELINE, python_path
from src.sweeps.job import folder_of, tell_problem

JOBS_FILE = "submitted.json"  # in the folder of the sweep: the id of the job that trains each folder
LOGS = ".submitit"  # in the folder of the sweep: what submitit keeps
ENDED = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")  # states of SLURM
LAST_ARRAY = "last_array.txt"  # there: the name of the array that was submitted last


class TrainJob:
    """`python -m src.train <overrides>` as a function that submitit can send away, interrupt and start again."""

    def __init__(self, overrides: Sequence[str], command: str) -> None:
        self.overrides, self.command, self.folder = list(overrides), command, os.getcwd()

    def __call__(self) -> int:
        """Trains in a process of its own; returns its exit code."""
        lifeline, self.other_end = os.pipe()  # the training ends with this process, however that ends
        environment = {**os.environ, "PYTHONPATH": python_path(), COMMAND: self.command, LIFELINE: str(lifeline)}
        if cpus := os.environ.get("SLURM_CPUS_PER_TASK"):
            environment.setdefault("OMP_NUM_THREADS", cpus)
        # SLURM announces the end to all processes of a job; only this one answers
        announced = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "src.train", *self.overrides],
            cwd=self.folder,
            env=environment,
            pass_fds=(lifeline,),
        )
        signal.signal(signal.SIGUSR2, announced)
        os.close(lifeline)
        self._await_end()
        os.close(self.other_end)
        return self.process.wait()

    def checkpoint(self) -> Any:
        """Before a preemption or the time limit: the run saves and ends; started again, the job goes on with it."""
        from submitit.helpers import DelayedSubmission

        with suppress(ProcessLookupError, ChildProcessError):  # it has ended by itself
            os.kill(self.process.pid, signal.SIGTERM)
            self._await_end()
        return DelayedSubmission(TrainJob(self.overrides, self.command))

    def _await_end(self) -> None:
        # not by Popen.wait: a signal may interrupt it, and `checkpoint` would then wait for the lock that it holds
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)


class Queue(Protocol):
    """Where jobs wait and run."""

    poll_seconds: float  # between two questions for what is unfinished
    outlives_command: bool  # whether the jobs go on when the command is interrupted

    def submit(self, jobs: Sequence[TrainJob]) -> list[str]:
        """Hands the jobs over; returns the id of each."""

    def unfinished(self, ids: Sequence[str]) -> set[str]:
        """Those of `ids` that wait or run."""

    def problem(self, number: str) -> str:
        """Why a job may have ended without a result, or where to look."""


class SubmititQueue:
    """What the queues of submitit have in common: their jobs print to files in the folder `logs`."""

    def problem(self, number: str) -> str:
        """The folder with the job's output."""
        return f"what job {number} has printed is in {self.logs}"


class SlurmQueue(SubmititQueue):
    """SLURM, by submitit; `settings` are those of submitit's SlurmExecutor.update_parameters.

    Raises UserError where this machine has no SLURM, and for settings that submitit does not know.
    """

    poll_seconds, outlives_command = 10.0, True

    def __init__(self, folder: Path, settings: Mapping[str, Any], max_num_timeout: int) -> None:
        require_slurm()
        self.folder, self.logs, self.job_name = folder, folder / LOGS, settings.get("job_name", "cifarlab")
        given = {name: value for name, value in settings.items() if value is not None}
        # srun does not take the number of CPUs from sbatch
        setup = [f"export PYTHONPATH={shlex.quote(python_path())}", "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"]
        try:
            self.executor = submitit_of().SlurmExecutor(self.logs, max_num_timeout=max_num_timeout)
            self.executor.update_parameters(**given, setup=setup)
        except (NameError, ValueError, RuntimeError) as error:
            raise UserError(f"hydra/launcher=slurm: {first_line(error).rstrip('.')}.") from error

    def submit(self, jobs: Sequence[TrainJob]) -> list[str]:
        """As one array. Raises UserError where SLURM refuses it."""
        self._withdraw_unrecorded()
        name = f"{self.job_name}-{secrets.token_hex(4)}"
        self.logs.mkdir(parents=True, exist_ok=True)
        write_text(self.logs / LAST_ARRAY, name)
        self.executor.update_parameters(job_name=name)
        try:
            with self.executor.batch():
                submitted = [self.executor.submit(job) for job in jobs]
        except submitit_of().core.utils.FailedJobError as error:
            raise UserError(f"SLURM refuses the jobs: {first_line(error).rstrip('.')}.") from error
        return [job.job_id for job in submitted]

    def unfinished(self, ids: Sequence[str]) -> set[str]:
        """By squeue, which needs no accounting; all of them while the controller does not answer."""
        rows = self._list_jobs()
        return set(ids) if rows is None else rows & set(ids)

    def _list_jobs(self, *options: str) -> set[str] | None:
        """The ids of this user's jobs that wait or run; None while the controller does not answer."""
        command = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i %T", *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return None
        rows = [line.split() for line in done.stdout.splitlines()]
        return {row[0] for row in rows if row[1] not in ENDED}

    def _withdraw_unrecorded(self) -> None:
        """Cancels the last array if the command was killed before it wrote the ids: the jobs may lack their files."""
        if not (file := self.logs / LAST_ARRAY).exists():
            return
        queued = self._list_jobs("--name", read_text(file)) or set()
        if queued - set(read_ids(self.folder).values()):
            subprocess.run(["scancel", "--name", read_text(file)], capture_output=True)


class LocalQueue(SubmititQueue):
    """This machine, by submitit: each job is watched by a process of its own, whose number is the job's id."""

    poll_seconds, outlives_command = 0.5, False

    def __init__(self, folder: Path, threads: int, settings: Mapping[str, Any]) -> None:
        self.logs, self.threads = folder / LOGS, threads
        self.executor = submitit_of().LocalExecutor(self.logs)
        self.executor.update_parameters(**settings)
        self.jobs: dict[str, Any] = {}  # those of this process: only it learns that one has ended

    def submit(self, jobs: Sequence[TrainJob]) -> list[str]:
        """As one process each."""
        threads = os.environ.get("OMP_NUM_THREADS", str(self.threads))
        with environment(PYTHONPATH=python_path(), OMP_NUM_THREADS=threads):
            submitted = [self.executor.submit(job) for job in jobs]
        self.jobs.update({job.job_id: job for job in submitted})
        return [job.job_id for job in submitted]

    def unfinished(self, ids: Sequence[str]) -> set[str]:
        """Those whose process lives."""
        return {number for number in ids if self._lives(number)}

    def _lives(self, number: str) -> bool:
        if number in self.jobs:
            return not self.jobs[number].done()
        try:
            return b"submitit.local" in Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            return False


def run_all(queue: Queue, jobs: Sequence[Sequence[str]], folder: Path, at_once: int) -> None:
    """Submits the overrides of each job, `at_once` of them at a time, and waits for all.

    A job of an earlier start of the sweep that is still queued is not submitted again: it is waited for. Names the jobs
    that ended without a result.
    """
    paths = list(map(folder_of, jobs))
    known = read_ids(folder)
    active = queue.unfinished(list(known.values()))
    ids = {path: known[path.name] for path in paths if known.get(path.name) in active}
    waiting = [(path, TrainJob(job, exact_command())) for path, job in zip(paths, jobs, strict=True) if path not in ids]
    if ids:
        print(f"waiting for {count(len(ids), 'job')} already queued or running", flush=True)
    try:
        while waiting or ids:
            if batch := waiting[: max(0, at_once - len(ids))]:
                waiting = waiting[len(batch) :]
                submitted = queue.submit([job for _, job in batch])
                ids |= dict(zip((path for path, _ in batch), submitted, strict=True))
                write_ids(folder, {path.name: number for path, number in ids.items()})
                print(f"submitted {count(len(batch), 'job')}: {', '.join(submitted)}", flush=True)
            time.sleep(queue.poll_seconds)
            still = queue.unfinished(list(ids.values()))
            for path in [path for path, number in ids.items() if number not in still]:
                tell_problem(path, queue.problem(ids.pop(path)))
    except (KeyboardInterrupt, Interrupted):
        if queue.outlives_command:
            print("\nsubmitted jobs go on without this command; typed again, it waits for them", flush=True)
        raise


def read_ids(folder: Path) -> dict[str, str]:
    """The jobs of an earlier start: {name of the run's folder: id}."""
    file = folder / JOBS_FILE
    return json.loads(read_text(file)) if file.exists() else {}


def write_ids(folder: Path, ids: Mapping[str, str]) -> None:
    """Adds to the jobs of the sweep."""
    write_text(folder / JOBS_FILE, json.dumps({**read_ids(folder), **ids}, indent=2) + "\n")


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Within it the environment has these variables."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)


def submitit_of() -> Any:
    """The module submitit. Raises UserError where it is not installed."""
    try:
        import submitit
    except ImportError as error:
        raise UserError('this launcher needs submitit: pip install -e ".[slurm]".') from error
    return submitit


def require_slurm() -> None:
    """Raises UserError where this machine has no SLURM."""
    require(shutil.which("sbatch") is not None, "hydra/launcher=slurm needs SLURM's sbatch, which is not found here")
