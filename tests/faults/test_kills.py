"""The short form: a few chosen places. `python -m tests.faults kills` kills at random ones, sweeps and searches too."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import mostly_slow, run_in_process
from tests.faults import driver
from tests.faults.kills import AFTER, Case, choose_place, continue_to_end
from tests.faults.places import Kill
from tests.faults.runs import SINGLE, find_differences


@pytest.fixture(scope="module", autouse=True)
def cheap() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        driver.make_cheap(patch)
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("undisturbed")
    done = run_in_process("train", *SINGLE, cwd=place)  # here: the children then need no imports
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize(
    "kill",
    mostly_slow(
        [
            Kill("writing last.pt", 25, 60),
            Kill("final evaluation", 1, AFTER),
            Kill("figures", 1, 0),
        ],
        quick=1,
    ),
)
def test_a_killed_run_continues_to_the_end_of_the_undisturbed_one(undisturbed, tmp_path, kill):
    cwd, notes = tmp_path / "work", tmp_path / "notes"
    cwd.mkdir()
    ended = driver.run("train", SINGLE, cwd, notes, kill=kill)
    assert (ended.code, ended.place) == (-signal.SIGKILL, kill.place), ended.errors
    assert continue_to_end(Case("single"), SINGLE, cwd, notes) == []
    assert find_differences(undisturbed / "run", cwd / "run") == []


def test_a_difference_is_found(tmp_path):
    for name, text in (("one", "epoch,seconds\n1,2.0\n"), ("other", "epoch,seconds\n2,3.0\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "history.csv").write_text(text)
    (tmp_path / "other" / "result.json.part").touch()
    found = find_differences(tmp_path / "one", tmp_path / "other")
    assert found == ["result.json.part is left", "history.csv differs (epoch)"]
    assert find_differences(tmp_path / "one", tmp_path / "one") == []


def test_places_are_chosen_among_those_that_were_counted():
    kill = choose_place({"training": [10, 20]}, random.Random(0))
    assert kill.place == "training" and kill.call in (1, 2)


def test_a_process_is_killed_from_outside(tmp_path):
    started = driver.start("train", SINGLE, tmp_path, tmp_path / "notes", prepare=lambda: time.sleep(60))
    ended = started.wait(0.05)
    assert (ended.code, ended.place) == (-signal.SIGKILL, "start")
