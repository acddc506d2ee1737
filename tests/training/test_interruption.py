import os
import signal
from collections.abc import Iterator

import pytest

from src.training.interruption import stop_on_signals


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where a script started the tests in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if before is not None:  # else a handler of C, which Python cannot put back
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_asks(number):
    before = signal.getsignal(number)
    with stop_on_signals() as request:
        assert request.signal_number is None
        os.kill(os.getpid(), number)
        assert request.signal_number == number
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_is_not_held_back():
    with stop_on_signals() as request, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        assert request.signal_number == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
