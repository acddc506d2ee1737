import os
import signal
import threading

import pytest

from src.errors import Interrupted
from src.training.signals import StopRequest, stop_on_signals

pytestmark = pytest.mark.usefixtures("as_in_a_terminal")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_the_first_signal_only_asks(number, tmp_path):
    before = signal.getsignal(number)
    with stop_on_signals(tmp_path / "train.log") as request:
        assert request.signal_number is None
        os.kill(os.getpid(), number)
        assert request.signal_number == number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_is_not_held_back(number, tmp_path):
    with stop_on_signals(tmp_path / "train.log") as request, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        assert request.signal_number == number
        os.kill(os.getpid(), number)


def test_a_repeated_announcement_of_a_time_limit_ends_nothing_at_once(tmp_path):
    with stop_on_signals(tmp_path / "train.log") as request:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        assert request.signal_number == signal.SIGTERM


def test_a_closed_terminal_is_a_line_in_the_log(tmp_path):
    with stop_on_signals(tmp_path / "train.log") as request:
        os.kill(os.getpid(), signal.SIGHUP)
        assert request.signal_number is None
    assert (tmp_path / "train.log").read_text() == "the terminal has closed (SIGHUP); the run goes on\n"


def test_work_that_is_done_again_ends_at_once():
    request = StopRequest()
    request.raise_if_asked()
    request.signal_number = 15
    with pytest.raises(Interrupted) as interruption:
        request.raise_if_asked()
    assert interruption.value.signal_number == 15


def test_torchrun_repeats_signals_so_a_second_one_is_not_a_wish(monkeypatch, tmp_path):
    monkeypatch.setattr("src.training.signals.is_launched", lambda: True)
    with stop_on_signals(log_file=None) as request:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        assert request.signal_number == signal.SIGINT


def test_after_a_failure_under_torchrun_its_sigterm_does_not_silence_the_reason(monkeypatch):
    monkeypatch.setattr("src.training.signals.is_launched", lambda: True)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(ValueError, match="the reason"), stop_on_signals(log_file=None):
            raise ValueError("the reason")
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_outside_of_the_main_thread_signals_are_left_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with stop_on_signals(log_file=None) as request:
            seen.append((request.signal_number, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
