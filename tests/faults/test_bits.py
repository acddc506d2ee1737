"""The short form: one bit in some of the files. `python -m tests.faults bits` takes all files and random bits."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.bits import Flip, choose_flips, make_runs, try_flip
from tests.faults.driver import make_cheap

pytestmark = pytest.mark.slow  # tests/test_tensor_file.py and tests/test_checksums.py flip bits in the normal suite


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        place = tmp_path_factory.mktemp("bits")
        make_runs(place)
        yield place


@pytest.mark.parametrize(
    ("run", "name", "outcome"),
    [
        ("done", "config.yaml", "noticed"),
        ("done", "checkpoints/last.pt", "noticed"),
        ("part", "result.json", "noticed"),
        ("part", "checkpoints/last.pt", "harmless"),  # the one before it takes its place,
        ("part", "train.log", "harmless"),
        ("done", "history.csv", "noticed"),
    ],
)
def test_a_flipped_bit_is_noticed_or_does_no_harm(place, run, name, outcome):
    flip = try_flip(place, Flip(run, name, position=0, bit=0))
    assert flip.outcome == outcome, f"{flip.command}: {flip.said}"


def test_every_file_of_both_runs_is_tried(place):
    flips = choose_flips(place, 5, random.Random(0))
    per_file = [(flip.run, flip.name) for flip in flips]
    assert per_file.count(("done", "result.json")) == 5 and per_file.count(("done", "train.log")) == 3
    assert {"history.csv", "checkpoints/best.pt"} <= {flip.name for flip in flips if flip.run == "part"}
