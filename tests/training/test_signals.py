import os
import signal

import pytest

from src.errors import Interrupted
from src.training.signals import StopRequest, stop_on_signals

pytestmark = pytest.mark.usefixtures("as_in_a_terminal")


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


def test_work_that_is_done_again_ends_at_once():
    request = StopRequest()
    request.raise_if_asked()
    request.signal_number = 15
    with pytest.raises(Interrupted) as interruption:
        request.raise_if_asked()
    assert interruption.value.signal_number == 15
