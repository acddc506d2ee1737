"""A whole randomized search with folds and successive halving, started twice."""

import json

import pytest

from src.results.history import read_history
from tests.conftest import SMALL

SEARCH = (
    "--multirun", "hydra/sweeper=random_search", *SMALL, "data.augment=true", "optimizer=adam,sgd",
    "optimizer.lr=tag(log,interval(1e-3,1e-2))", "trainer.epochs=3", "hydra.sweeper.n_candidates=4",
    "hydra.sweeper.folds=2", "hydra.sweeper.rungs=[1,2]", "hydra.sweeper.eta=2", "hydra.sweep.dir=mine",
)  # fmt: skip


def results(place):
    return [json.loads(path.read_text()) for path in sorted(place.glob("mine/*/result.json"))]


@pytest.fixture(scope="module")
def searched(command, tmp_path_factory):
    place = tmp_path_factory.mktemp("searched")
    return place, command("train", *SEARCH, cwd=place)


@pytest.mark.slow
def test_halving_leaves_the_best_candidate_trained_to_its_end(searched):
    place, done = searched
    assert done.returncode == 0, done.stderr
    epochs = sorted(result["epochs"] for result in results(place))
    assert epochs == [1, 1, 1, 1, 2, 2, 3, 3]  # 4 candidates, 2, 1: of two folds each
    assert "4 candidates x 2 runs each, halving at epochs [1, 2], in mine" in done.stdout
    assert "trained 14 epochs of the 24 that all 8 runs would have taken" in done.stdout
    assert done.stdout.count("rung 1, epoch 1") == 4  # two rows in the table, two among the lines

    by_candidate = {}
    for result, path in zip(results(place), sorted(place.glob("mine/*/config.yaml")), strict=True):
        by_candidate.setdefault(path.parent.name.rpartition("_data.fold")[0].partition("_")[2], []).append(result)
    first = {name: sum(r["rungs"]["1"]["metrics"]["val"]["top1"] for r in own) for name, own in by_candidate.items()}
    went_on = {name for name, own in by_candidate.items() if own[0]["epochs"] > 1}
    assert min(first[name] for name in went_on) >= max(first[name] for name in set(first) - went_on)


@pytest.mark.slow
def test_survivors_go_on_from_their_checkpoints(searched):
    place, _ = searched
    for result, path in zip(results(place), sorted(place.glob("mine/*/history.csv")), strict=True):
        history = read_history(path)
        assert [row["epoch"] for row in history] == list(range(1, 1 + result["epochs"]))
        log = (path.parent / "train.log").read_text()
        assert log.count("going on after epoch") == result["epochs"] - 1
        assert result["steps"] == result["epochs"] * 5  # 300 images in batches of 64


@pytest.mark.slow
def test_only_what_came_to_its_end_has_met_the_test_set(searched):
    for result in results(searched[0]):
        assert (result["metrics"]["test"] is not None) == (result["status"] == "completed")


@pytest.mark.slow
def test_the_same_command_goes_on_with_nothing_left_to_do(command, searched):
    place, first = searched
    before = results(place)
    again = command("train", *SEARCH, cwd=place)
    assert again.returncode == 0, again.stderr
    assert results(place) == before
    table = first.stdout.partition("\noptimizer ")[2]
    assert table and again.stdout.partition("\noptimizer ")[2] == table
