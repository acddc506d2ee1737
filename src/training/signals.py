"""Signals that ask a run to stop, which the training loop answers between two steps; SIGHUP as a line in the log."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from src.errors import Interrupted
from src.torchrun import is_launched
from src.training.ranks import ALONE, Ranks


class StopRequest:
    """`signal_number` is None until a signal has asked the run to stop."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def raise_if_asked(self, ranks: Ranks = ALONE) -> None:
        """Raises Interrupted once a signal has asked any of `ranks` to stop; nothing is saved."""
        if number := ranks.largest(self.signal_number or 0):
            raise Interrupted(number)


@contextmanager
def stop_on_signals(log_file: Path | None) -> Iterator[StopRequest]:
    """Within it the first SIGINT or SIGTERM only sets the request, a second one raises KeyboardInterrupt at once.

    Under torchrun a second one does nothing: torchrun repeats the terminal's signals. SIGUSR1, by which SLURM can
    announce a time limit, only asks. SIGHUP, which a closing terminal sends, is noted in `log_file`: the run goes on.
    Outside of the main thread Python hears no signals, and nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        if request.signal_number is None:
            request.signal_number = number
        elif signal.SIGUSR1 not in (number, request.signal_number) and not is_launched():
            raise KeyboardInterrupt

    def note(_number: int, _frame: FrameType | None) -> None:
        # not by logging: a signal may arrive while a message is being written
        if log_file is None:
            return
        with suppress(OSError), log_file.open("a") as file:
            file.write("the terminal has closed (SIGHUP); the run goes on\n")

    handlers = {signal.SIGINT: ask, signal.SIGTERM: ask, signal.SIGUSR1: ask, signal.SIGHUP: note}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield request
    except Exception:
        if is_launched():  # torchrun ends the other processes of a failed run; this one still says why it failed
            before[signal.SIGTERM] = signal.SIG_IGN
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
