"""Random searches with successive halving, and where the values of a sweep may stand."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra_plugins.cifarlab import Grid, RandomSearch, Subprocesses

from src.errors import UserError
from src.loggers.history_csv import read_history
from src.sweeps.optuna_search import Search
from tests.conftest import mostly_slow
from tests.quick import FIND_MODE, QUICK, quick_commands


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with quick_commands():
        yield


def test_hydra_finds_the_plugins():
    assert {Grid, RandomSearch} <= set(Plugins.instance().discover(Sweeper))
    assert Subprocesses in Plugins.instance().discover(Launcher)


def results(place: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(place.glob("mine/*/result.json"))]


@pytest.mark.slow
def test_the_better_of_two_candidates_continues(command, tmp_path):
    search = (
        "--multirun", "hydra/sweeper=random_search", *QUICK, "optimizer=adam,sgd", "hydra.sweeper.n_candidates=2",
        "hydra.sweeper.rungs=[1]", "hydra.sweeper.eta=2", "hydra.sweep.dir=mine",
    )  # fmt: skip
    first = command("train", *search, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "epoch 1: 1 of 2 candidates continue" in first.stdout
    loser, winner = sorted(results(tmp_path), key=lambda result: result["epochs"])
    assert (loser["status"], loser["epochs"], loser["metrics"]["test"]) == ("paused", 1, None)
    assert (winner["status"], winner["epochs"], winner["steps"]) == ("completed", 2, 6)
    scores = [result["rungs"]["1"]["metrics"]["val"]["top1"] for result in (loser, winner)]
    assert scores[0] <= scores[1]
    again = command("train", *search, cwd=tmp_path)
    assert again.returncode == 0 and sorted(results(tmp_path), key=lambda r: r["epochs"]) == [loser, winner]


SEARCH = (
    "--multirun", "hydra/sweeper=random_search", *QUICK, "data.augment=true", "optimizer=adam,sgd",
    "optimizer.lr=tag(log,interval(1e-3,1e-2))", "trainer.epochs=3", "hydra.sweeper.n_candidates=4",
    "hydra.sweeper.folds=2", "hydra.sweeper.rungs=[1,2]", "hydra.sweeper.eta=2", "hydra.sweep.dir=mine",
)  # fmt: skip


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
    assert "trained 14 epochs, 58% of the 24 that training all 8 runs to their last epoch takes" in " ".join(
        done.stdout.split()
    )
    assert done.stdout.count("rung 1, epoch 1") == 2  # rows of the table

    by_candidate = {}
    for result, path in zip(results(place), sorted(place.glob("mine/*/config.yaml")), strict=True):
        by_candidate.setdefault(path.parent.name.rpartition("_data.fold")[0].partition("_")[2], []).append(result)
    first = {name: sum(r["rungs"]["1"]["metrics"]["val"]["top1"] for r in own) for name, own in by_candidate.items()}
    continued = {name for name, own in by_candidate.items() if own[0]["epochs"] > 1}
    assert min(first[name] for name in continued) >= max(first[name] for name in set(first) - continued)


@pytest.mark.slow
def test_survivors_continue_from_their_checkpoints(searched):
    place, _ = searched
    for result, path in zip(results(place), sorted(place.glob("mine/*/history.csv")), strict=True):
        history = read_history(path)
        assert [row["epoch"] for row in history] == list(range(1, 1 + result["epochs"]))
        log = (path.parent / "train.log").read_text()
        assert log.count("continuing after epoch") == result["epochs"] - 1
        assert result["steps"] == result["epochs"] * 2  # 100 images in batches of 64


@pytest.mark.slow
def test_only_completed_runs_are_evaluated_on_the_test_set(searched):
    for result in results(searched[0]):
        assert (result["metrics"]["test"] is not None) == (result["status"] == "completed")


@pytest.mark.slow
def test_the_same_command_continues_with_nothing_left_to_do(command, searched):
    place, first = searched
    before = results(place)
    again = command("train", *SEARCH, cwd=place)
    assert again.returncode == 0, again.stderr
    assert results(place) == before
    table = first.stdout.partition("\noptimizer ")[2]
    assert table and again.stdout.partition("\noptimizer ")[2] == table


@pytest.fixture
def batches(monkeypatch):
    """How many jobs each call of the launcher was given; none is trained."""
    sizes = []

    class Counter:
        def launch(self, job_overrides, initial_job_idx):
            sizes.append(len(job_overrides))

    monkeypatch.setattr("src.sweeps.sweep.Plugins.instantiate_launcher", lambda *_, **__: Counter())
    return sizes


@pytest.mark.slow
def test_a_small_space_is_said_to_be_small(command, tmp_path, batches):
    done = command(
        "train", "--multirun", "hydra/sweeper=random_search", *QUICK, "optimizer=adam,sgd", "seed=0,1",
        "hydra.sweeper.max_batch_size=3", cwd=tmp_path
    )  # fmt: skip
    assert "2 candidates (the space holds no more than 2) x 2 runs each, in outputs/" in done.stdout
    assert batches == [3, 1]


@pytest.mark.parametrize(
    "params",
    mostly_slow(
        [
            ["hydra.sweeper.params={seed: '0,1', optimizer.lr: '0.1,0.2'}"],
            ["hydra.sweeper.params={seed: '0,1', optimizer: {lr: '0.1,0.2'}}"],
            ["hydra.sweeper.params.seed='0,1'", "hydra.sweeper.params.optimizer.lr='0.1,0.2'"],
        ],
        quick=0,
    ),
)
def test_values_may_stand_in_params_on_the_command_line(command, tmp_path, batches, params):
    command("train", "--multirun", *QUICK, *params, "hydra.sweep.dir=mine", cwd=tmp_path)
    assert batches == [4]
    assert (tmp_path / "mine" / "3_seed-1_optimizer.lr-0.2").is_dir()


@pytest.mark.parametrize("sweeper", ["grid", "random_search"])
@pytest.mark.slow
def test_values_may_stand_in_an_experiment(command, tmp_path, monkeypatch, batches, sweeper):
    monkeypatch.setattr(Hydra, "get_mode", FIND_MODE)
    (tmp_path / "my_conf" / "experiment").mkdir(parents=True)
    (tmp_path / "my_conf" / "experiment" / "mine.yaml").write_text(
        f"# @package _global_\ndefaults: [override /hydra/sweeper: {sweeper}]\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      optimizer.lr: 0.1,0.2\n      model.dropout: 0,0.5\n"
    )
    arguments = (*QUICK, "experiment=mine", "model.dropout=0.25", "hydra.sweep.dir=mine")
    command("train", "--config-dir", str(tmp_path / "my_conf"), *arguments, cwd=tmp_path)
    assert batches == [2]  # the command line has the last word on model.dropout
    assert {path.name for path in (tmp_path / "mine").iterdir() if path.is_dir()} == {
        "0_optimizer.lr-0.1",
        "1_optimizer.lr-0.2",
    }


def test_optuna_minimizes_a_loss(command, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    directions = []

    def end(_search, _folder, _space, _seed, _metric, direction, _eta):
        directions.append(direction)
        raise UserError("no further.")

    monkeypatch.setattr(Search, "__init__", end)
    own = ("hydra/sweeper=optuna", "model.width=1,2", "hydra.sweeper.metric=metrics.val.loss")
    done = command("train", "--multirun", *QUICK, *own, cwd=tmp_path)
    assert done.stderr == "error: no further.\n" and directions == ["minimize"]


SETTINGS = {
    "n_candidates": 1, "seed": 0, "folds": None, "metric": "metrics.val.top1", "direction": "maximize",
    "rungs": [], "eta": 3, "params": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("n_candidates", 0, "hydra.sweeper.n_candidates=0 must be at least 1"),
        ("seed", -1, "hydra.sweeper.seed=-1 must be at least 0"),
        ("folds", 1, "hydra.sweeper.folds=1 must be at least 2"),
        ("rungs", 2, "hydra.sweeper.rungs=2 must be a list of epochs"),
        ("rungs", ["a"], "must be a list of epochs"),
    ],
)
def test_settings_of_the_search_are_checked(name, value, problem):
    with pytest.raises(UserError) as error:
        RandomSearch(**{**SETTINGS, name: value})
    assert problem in str(error.value)


def test_folds_are_values_of_every_candidate():
    search = RandomSearch(**{**SETTINGS, "folds": 3, "params": {"seed": "0,1"}})
    expected = {"seed": "0,1", "data.validation": "fold", "data.folds": "3", "data.fold": "0,1,2"}
    assert search.params == expected


def test_a_launcher_runs_one_job_at_least():
    with pytest.raises(UserError, match=r"hydra\.launcher\.n_jobs=0 must be at least 1"):
        Subprocesses(n_jobs=0)
