import json

import pytest

from src.benchmark import summarise_rounds

QUICK = [
    "loops=[quickstart]",
    "rounds=2",
    "seconds=0.2",
    "data.source.train_images=300",
    "data.source.test_images=100",
]


def test_ratio_is_the_median_of_the_rounds_ratios():
    row = summarise_rounds("x", "images/s", [(1.0, 2.0), (3.0, 3.0), (8.0, 4.0)])
    assert (row.ours, row.other, row.ratio, row.rounds) == (3.0, 3.0, 1.0, 3)


@pytest.mark.slow
def test_measures_every_row_it_was_asked_for(command):
    done = command("benchmark", *QUICK, "data.batch_size=16", "format=json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["what"].rsplit(", ", 1)[1] for row in rows] == ["quickstart", "quickstart", "affine", "crop_flip"]
    assert all(row["ours"] > 0 and row["other"] > 0 and row["rounds"] == 2 for row in rows)


@pytest.mark.slow
def test_mistakes_get_one_sentence(command):
    done = command("benchmark", "loops=[fast/depp]")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "loops=fast/depp is not one of" in done.stderr
