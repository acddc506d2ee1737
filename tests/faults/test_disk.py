"""The short form: a few writes that fail. `python -m tests.faults disk` tries all places, and fills a real disk."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import mostly_slow
from tests.faults.disk import run_here, try_fault
from tests.faults.driver import make_cheap
from tests.faults.full_disk import FailingWrites, fill, small_disk
from tests.faults.runs import SINGLE


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        place = tmp_path_factory.mktemp("expected")
        done = run_here(SINGLE, place)
        assert done.code == 0, done.errors
        yield place


@pytest.mark.parametrize(
    ("name", "opening", "write", "number"),
    mostly_slow(
        [
            ("last.pt", 7, 2, errno.EROFS),
            ("history.csv", 1, 1, errno.EROFS),
            ("last.pt", 7, 2, errno.ENOSPC),
            ("train.log", 1, 8, errno.ENOSPC),
        ],
        quick=1,
    ),
)
def test_a_run_without_room_says_so_and_continues_when_there_is_some(expected, tmp_path, name, opening, write, number):
    fault = FailingWrites(name, opening, write, number, lasting=False, folder=tmp_path)
    row = try_fault(fault, expected, tmp_path, run_here)
    assert row.problems == [], row
    assert row.resumed == "equal"


def test_a_small_disk_is_filled(tmp_path):
    with small_disk(tmp_path / "disk") as mounted:
        if not mounted:
            pytest.skip("mounting is not allowed")
        fill(tmp_path / "disk", left_kib=8)
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "disk" / "file").write_bytes(bytes(16 * 1024))
