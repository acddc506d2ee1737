import errno
import os
import subprocess
import sys
import threading
import time

import pytest

from src import lock
from src.lock import hold_lock, is_locked, try_lock
from tests.conftest import process_environment

HOLD = "import sys; from pathlib import Path; from src.lock import try_lock; file = try_lock(Path(sys.argv[1])); "


def process_that_holds(path) -> subprocess.Popen:
    command = [sys.executable, "-c", f"{HOLD} print(file is not None, flush=True); input()", str(path)]
    holder = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=process_environment()
    )
    assert holder.stdout.readline() == "True\n"
    return holder


def test_a_file_is_locked_once_until_it_is_closed(tmp_path):
    path = tmp_path / "lock"
    assert not is_locked(path)  # there is none
    first = try_lock(path)
    assert is_locked(path) and try_lock(path) is None
    first.close()
    assert not is_locked(path)
    with try_lock(path):
        assert is_locked(path)


def test_asking_whether_a_file_is_locked_does_not_lock_it(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    assert not is_locked(path)
    assert try_lock(path) is not None


def test_a_killed_process_releases_its_lock(tmp_path):
    path = tmp_path / "lock"
    holder = process_that_holds(path)
    assert is_locked(path) and try_lock(path) is None
    holder.kill()
    holder.communicate()
    assert not is_locked(path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_not_in_use(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    lock._warn_once.cache_clear()
    with pytest.warns(UserWarning, match="this disk has no locks: start no second process"):
        assert try_lock(tmp_path / "lock") is not None
    assert not is_locked(tmp_path / "lock")  # it warns once


def test_another_failure_of_a_lock_is_an_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match="Input/output"):
        try_lock(tmp_path / "lock")


def test_of_those_who_hold_a_lock_at_once_one_goes_first(tmp_path):
    order, calls = [], []

    def enter() -> None:
        with hold_lock(tmp_path / "lock", lambda: calls.append("waiting")):
            order.append("second")

    with hold_lock(tmp_path / "lock"):
        second = threading.Thread(target=enter)
        second.start()
        time.sleep(0.2)
        order.append("first")
    second.join()
    assert order == ["first", "second"] and calls  # who waits may be interrupted
