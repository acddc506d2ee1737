"""Runs side by side: each is a process of its own, so that one that is killed takes no other with it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from src.errors import Interrupted
from src.overrides import COMMAND, exact_command
from src.processes import LIFELINE, num_cpus, python_path
from src.sweeps.job import folder_of, tell_problem


def is_job() -> bool:
    """Whether this run is a job of a sweep, in the sweep's own process or in one that it started."""
    return COMMAND in os.environ or HydraConfig.get().mode == RunMode.MULTIRUN


def end_with_parent() -> None:
    """In a process that a sweep started: ends it, everything saved, as soon as the sweep's process has been killed."""
    pipe = os.environ.pop(LIFELINE, None)
    if pipe is None:
        return

    def wait_and_end() -> None:
        os.read(int(pipe), 1)  # nothing is ever written: it returns when the other end is closed
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_and_end, daemon=True).start()


class ProcessPool:
    """Runs commands `python -m src.train ...`, `num_processes` at a time; their output goes to their runs' logs.

    They end when this process is killed.
    """

    def __init__(self, num_processes: int) -> None:
        self.num_processes = num_processes
        self.running: list[subprocess.Popen[str]] = []
        self.signals: list[int] = []

    def run(self, jobs: Sequence[Sequence[str]]) -> None:
        """Runs `python -m src.train <overrides>` for each of `jobs`, and waits for all.

        Signals are passed on: at the first each process saves and ends, at a second it ends at once. No further process
        is started. Raises Interrupted afterwards.
        """
        stop_signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._pass_on) for number in stop_signals}
        self.lifeline, other_end = os.pipe()
        try:
            with ThreadPoolExecutor(self.num_processes) as threads:
                list(threads.map(self._run_one, jobs))
        finally:
            os.close(self.lifeline)
            os.close(other_end)
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.signals:
            raise Interrupted(self.signals[0])

    def _run_one(self, overrides: Sequence[str]) -> None:
        if self.signals:
            return
        process = subprocess.Popen(
            [sys.executable, "-m", "src.train", *overrides],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=(self.lifeline,),
            env=self._environment(),
            process_group=0,  # a terminal's Ctrl-C reaches it through this process, and so only once
        )
        self.running.append(process)
        if self.signals:  # it came while the process started
            process.send_signal(self.signals[0])
        _, errors = process.communicate()
        self.running.remove(process)
        if process.returncode and not self.signals:
            last = errors.strip().splitlines()[-1] if errors.strip() else f"ended with code {process.returncode}"
            tell_problem(folder_of(overrides), last)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self.signals.append(number)
        for process in list(self.running):  # other threads remove from it
            with suppress(ProcessLookupError):  # it has just ended
                process.send_signal(number)

    def _environment(self) -> dict[str, str]:
        """Threads are shared out among the processes, unless the environment says how many each has."""
        threads = str(max(1, num_cpus() // self.num_processes))
        own = {"PYTHONPATH": python_path(), COMMAND: exact_command(), LIFELINE: str(self.lifeline)}
        return {"OMP_NUM_THREADS": threads, **os.environ, **own}
