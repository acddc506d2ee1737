"""A job of several at once, in a process of its own: one that is killed takes none of the others with it."""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from types import FrameType

from src.errors import Interrupted, UserError

_asked: list[int] = []  # the signals that have ended the sweep, in this worker
_running: list[BaseProcess] = []


def run_apart(job: Callable[[], None], name: str) -> None:
    """Runs `job` in a fork of this worker and waits for it; does nothing once a signal has ended the sweep.

    What becomes of the job is in its folder, `name`. A signal to the worker asks the job, once, to save and end.
    Forking is safe here and costs nothing: torch is not imported before the job imports it.
    """
    if _asked:
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _pass_on)
    sys.stdout.flush()
    child = multiprocessing.get_context("fork").Process(target=_alone, args=(job, name))
    child.start()
    _running.append(child)
    child.join()
    _running.remove(child)


def _pass_on(number: int, _frame: FrameType | None) -> None:
    """In the worker, also while it waits for its next job: an exception here would end the workers of all others."""
    _asked.append(number)
    if len(_asked) > 1:
        return
    for child in _running:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(child.pid, number)


def _alone(job: Callable[[], None], name: str) -> None:
    os.setpgrp()  # a terminal's Ctrl-C reaches the job through the worker, and so only once
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        job()
    except UserError as error:
        print(f"{name}: error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except (Interrupted, KeyboardInterrupt):
        sys.exit(1)  # its folder says how far it came
