"""What happens to a command whose terminal closes, or whose output nobody can take any more."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO


def outlive_terminal(forgive_all: bool) -> None:
    """Lets the command continue when its terminal closes (SIGHUP) or the reader of its output ends (`| head -3`).

    With `forgive_all` also when the output cannot be written for another reason, a full disk for example: a training
    writes everything to its own log too.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.stdout is not None:  # it is None where the shell closed it: >&-
        sys.stdout = _ForgivingStream(sys.stdout, forgive_all)
    if sys.stderr is not None:
        sys.stderr = _ForgivingStream(sys.stderr, forgive_all)


class _ForgivingStream:
    """A text stream whose output goes nowhere once nobody can read it any more."""

    def __init__(self, stream: TextIO, forgive_all: bool) -> None:
        self._stream, self._forgive_all = stream, forgive_all

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            if not (self._forgive_all or isinstance(error, BrokenPipeError) or error.errno == errno.EIO):
                raise OSError(error.errno, error.strerror, "the output") from error
            with suppress(OSError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
