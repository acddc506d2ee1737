import json

import pytest

from src.training.benchmarks import Comparison, Training, in_turns

QUICK = ["rounds=2", "seconds=0.2", "data.source.train_images=300", "data.source.test_images=100"]


def test_ratio_is_the_median_of_the_rounds_ratios():
    row = Comparison("x", "images/s", "CPU", [(1.0, 2.0), (3.0, 3.0), (8.0, 4.0)])
    assert {key: row.as_dict()[key] for key in ("ours", "other", "ratio")} == {"ours": 3.0, "other": 3.0, "ratio": 1.0}
    assert row.cells() == ("x", "3.0", "3.0", "images/s", "1.000", "CPU")


def test_both_sides_take_turns_in_beginning():
    order = []
    measured = in_turns(lambda: order.append("ours") or 1.0, lambda: order.append("other") or 2.0, rounds=3)
    assert order == ["ours", "other", "other", "ours", "ours", "other"]
    assert measured == [(1.0, 2.0)] * 3


def test_a_training_shows_every_seeds_accuracy():
    row = Training("x", "CPU", [0, 1, 2], [4.0, 6.0, 4.5], [0.65, 0.66, 0.655])
    assert row.cells() == ("x: test 65.00 %, 66.00 %, 65.50 %", "4.50", "-", "minutes", "-", "CPU")
    assert row.as_dict()["seeds"] == [0, 1, 2]


@pytest.mark.slow
def test_measures_every_row_it_was_asked_for(command):
    asked = ("loops=[quickstart,report/deep]", "model.width=0.1", "data.batch_size=16", "trainer.epochs=1")
    done = command("benchmark", *QUICK, *asked, "trainings=[quickstart]", "seeds=[3,4]", "format=json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    names = ["quickstart", "report/deep", "quickstart", "affine", "crop_flip", "quickstart"]
    assert [row["what"].rsplit(", ", 1)[1] for row in rows] == names
    assert all(row["ours"] > 0 and row["other"] > 0 and len(row["rounds"]) == 2 for row in rows[:-1])
    assert rows[-1]["seeds"] == [3, 4] and len(rows[-1]["minutes"]) == 2
    assert rows[-1]["test_top1"][0] != rows[-1]["test_top1"][1]


@pytest.mark.slow
def test_what_was_measured_before_a_failure_is_printed(command):
    asked = ("loops=[]", "pipelines=[]", "augmentations=[crop_flip]", "trainings=[quickstart]")
    done = command("benchmark", *QUICK, *asked, "trainer.sizes=[[0.5,2]]")
    assert done.returncode == 1 and "crop_flip" in done.stdout
    progress, error = done.stderr.splitlines()
    assert progress.startswith("1 of 2 measured: augmentation") and "takes no images of 2 pixels" in error


@pytest.mark.slow
def test_mistakes_get_one_sentence(command):
    for arguments, sentence in (
        (["loops=[fast/depp]"], "loops=fast/depp is not one of"),
        (["loops=[]", "pipelines=[]", "augmentations=[]"], "all lists are empty"),
        (["loops=[report/search]", "init.run=outputs/x"], "trains a head on another run"),
        (["trainings=[quickstart]", "trainer.max_minutes=1"], "would cut short what is measured"),
        (["trainings=[quickstart]", "seeds=[-1]"], "seed=-1 must not be negative"),
    ):
        done = command("benchmark", *arguments)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and not done.stdout
        assert sentence in done.stderr
