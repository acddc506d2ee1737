"""Ctrl-C and SIGTERM as a request that the training loop answers between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from src.errors import Interrupted


class StopRequest:
    """`signal_number` is None until a signal has asked the run to stop."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def raise_if_asked(self) -> None:
        """Raises Interrupted: for work after a checkpoint that is simply done again on resume."""
        if self.signal_number is not None:
            raise Interrupted(self.signal_number)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within it the first SIGINT or SIGTERM only sets the request; a second one acts as it does outside."""
    request = StopRequest()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _frame: FrameType | None) -> None:
        request.signal_number = number
        restore()

    for number in signals:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        restore()
