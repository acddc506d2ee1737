import contextlib
import os
import signal
import sys

import pytest

from src.terminal import outlive_terminal


def test_a_command_outlives_its_terminal(monkeypatch):
    reader, writer = os.pipe()
    before = signal.getsignal(signal.SIGHUP)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        try:
            outlive_terminal(forgive_all=False)
            print("seen", flush=True)
            assert os.read(reader, 100) == b"seen\n"
            os.close(reader)
            print("unseen", flush=True)  # the pipe is broken: BrokenPipeError without outlive_terminal
            print("also unseen", flush=True)
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.signal(signal.SIGHUP, before)


def test_a_full_disk_is_not_a_lost_terminal(monkeypatch):
    with open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        hangup = signal.getsignal(signal.SIGHUP)
        try:
            outlive_terminal(forgive_all=False)
            with pytest.raises(OSError, match=r"No space left.*the output"):
                print("lost", flush=True)
            sys.stdout = stream
            outlive_terminal(forgive_all=True)  # a training goes on
            print("lost", flush=True)
        finally:
            signal.signal(signal.SIGHUP, hangup)
            monkeypatch.undo()
            with contextlib.suppress(OSError):
                stream.close()


def test_a_closed_output_is_left_alone(monkeypatch):
    hangup = signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(sys, "stdout", None)
    try:
        outlive_terminal(forgive_all=False)
        print("nowhere")
    finally:
        signal.signal(signal.SIGHUP, hangup)
