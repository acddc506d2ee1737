import math
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.errors import UserError
from src.result import Status
from src.sweeps.optuna_search import JOURNAL, Search, launch_search

pytest.importorskip("optuna")
METRIC = "metrics.val.top1"
SPACE = ("optimizer=adam,sgd", "optimizer.lr=tag(log,interval(1e-4,1))", "data.batch_size=int(interval(16,64))")


class FakeJob:
    def __init__(self, overrides):
        self.overrides, self.values, self.status = overrides, {}, Status.WAITING

    def record(self):
        rungs = {str(epoch): value for epoch, value in self.values.items() if epoch}
        return SimpleNamespace(status=self.status, result={"rungs": rungs}, metric=self.metric)

    def metric(self, name):
        epoch = int(name.split(".")[1]) if name.startswith("rungs.") else None
        return self.values.get(epoch)


class FakeSweep:
    """A sweep whose runs have the accuracy `measure(overrides, epoch)`; None: the run fails."""

    metric = METRIC

    def __init__(self, measure, killed_after=math.inf):
        self.measure, self.killed_after = measure, killed_after
        self.jobs, self.trained = [], []

    @contextmanager
    def table_at_end(self, jobs):
        yield
        self.jobs = list(jobs)

    def launch(self, jobs, pause_at=None, later=0):
        for job in jobs:
            if len(self.trained) >= self.killed_after:
                raise KeyboardInterrupt
            self.trained.append((job.overrides, pause_at))
            job.values[pause_at] = self.measure(job.overrides, pause_at)
            job.status = Status.FAILED if job.values[pause_at] is None else Status.COMPLETED


def run(folder, measure, n, rungs=(), seeds=(0,), killed_after=math.inf, at_once=1, space=SPACE, seed=0):
    sweep = FakeSweep(measure, killed_after)
    search = Search(folder, OverridesParser.create().parse_overrides(list(space)), seed, METRIC, "maximize", eta=3)

    def jobs_of(candidate, first):
        return [FakeJob((*candidate, f"seed={seed}")) for seed in seeds]

    launch_search(sweep, search, jobs_of, n, at_once, rungs)
    return sweep


def lr_of(overrides):
    return next(float(text.partition("=")[2]) for text in overrides if text.startswith("optimizer.lr="))


def near_a_hundredth(overrides, _epoch=None):
    return 1 - abs(math.log10(lr_of(overrides)) + 2) / 4


def test_candidates_lie_in_the_space_and_differ(tmp_path):
    sweep = run(tmp_path, near_a_hundredth, 12, seeds=(0, 1))
    candidates = [job.overrides[:-1] for job in sweep.jobs]
    assert len(candidates) == 24 and len(set(candidates)) == 12
    for optimizer, lr, size in candidates:
        assert optimizer in ("optimizer=adam", "optimizer=sgd") and 1e-4 <= lr_of([lr]) <= 1
        assert 16 <= int(size.removeprefix("data.batch_size=")) <= 64


def test_later_candidates_are_drawn_where_the_results_are_better(tmp_path):
    values = [near_a_hundredth(job.overrides) for job in run(tmp_path, near_a_hundredth, 30).jobs]
    assert sum(values[20:]) / 10 > sum(values[:10]) / 10 + 0.1


@pytest.mark.parametrize("killed_after", [0, 1, 5, 11])
def test_after_a_kill_no_candidate_is_lost_or_repeated(tmp_path, killed_after):
    whole = run(tmp_path / "whole", near_a_hundredth, 12)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", near_a_hundredth, 12, killed_after=killed_after)
    resumed = run(tmp_path / "killed", near_a_hundredth, 12)
    assert [job.overrides for job in resumed.jobs] == [job.overrides for job in whole.jobs]


def test_a_larger_number_draws_more(tmp_path):
    first = run(tmp_path, near_a_hundredth, 4)
    more = run(tmp_path, near_a_hundredth, 6)
    assert [job.overrides for job in more.jobs][:4] == [job.overrides for job in first.jobs] and len(more.jobs) == 6


def test_several_candidates_are_drawn_at_once(tmp_path):
    sweep = run(tmp_path, near_a_hundredth, 5, at_once=2)
    assert len({job.overrides for job in sweep.jobs}) == 5


def test_a_small_space_is_taken_whole(tmp_path):
    sweep = run(tmp_path, lambda *_: 0.5, 10, space=("optimizer=adam,sgd", "model.dropout=0,0.5"))
    assert len({job.overrides for job in sweep.jobs}) == len(sweep.jobs) == 4


def test_a_candidate_below_the_best_third_ends_at_the_rung(tmp_path):
    sweep = run(tmp_path, near_a_hundredth, 12, rungs=(2,))
    ended = {overrides for overrides, epoch in sweep.trained if epoch is None}
    paused = {overrides for overrides, epoch in sweep.trained if epoch == 2}
    assert len(paused) == 12 and 3 <= len(ended) < 12 and ended < paused
    assert max(map(near_a_hundredth, ended)) == max(map(near_a_hundredth, paused))
    again = run(tmp_path, near_a_hundredth, 12, rungs=(2,))
    assert {overrides for overrides, epoch in again.trained if epoch is None} == ended


@pytest.mark.parametrize("rungs", [(), (2,)])
def test_a_failed_run_is_no_result_and_the_search_goes_on(tmp_path, rungs):
    def measure(overrides, epoch):
        return None if "optimizer=adam" in overrides else near_a_hundredth(overrides)

    sweep = run(tmp_path, measure, 8, rungs=rungs)
    assert len({job.overrides for job in sweep.jobs}) == 8
    study = Search(tmp_path, OverridesParser.create().parse_overrides(list(SPACE)), 0, METRIC, "maximize", 3).study
    states = {trial.state.name for trial in study.trials if "optimizer=adam" in trial.user_attrs["overrides"]}
    assert states == {"FAIL"} and "optimizer=sgd" in study.best_trial.user_attrs["overrides"]


@pytest.mark.parametrize("rungs", [(), (2,)])
def test_a_failed_run_that_is_completed_by_the_same_command_is_a_result(tmp_path, rungs):
    first = run(tmp_path, lambda overrides, epoch: None, 4, rungs=rungs)
    again = run(tmp_path, near_a_hundredth, 4, rungs=rungs)
    search = Search(tmp_path, OverridesParser.create().parse_overrides(list(SPACE)), 0, METRIC, "maximize", 3)
    assert [job.overrides for job in again.jobs] == [job.overrides for job in first.jobs]
    told = {overrides: trial.value for trial, overrides in search.candidates}
    assert told == {job.overrides[:-1]: near_a_hundredth(job.overrides) for job in first.jobs}
    more = run(tmp_path, near_a_hundredth, 5, rungs=rungs)
    assert len({job.overrides for job in more.jobs}) == 5 and more.jobs[0].overrides == first.jobs[0].overrides


def test_neighboring_seeds_draw_different_candidates(tmp_path):
    first, second = (
        {job.overrides for job in run(tmp_path / str(seed), near_a_hundredth, 8, seed=seed).jobs} for seed in (0, 1)
    )
    assert not first & second


@pytest.mark.parametrize(("metric", "direction"), [("metrics.val.loss", "maximize"), (METRIC, "minimize")])
def test_another_question_needs_another_folder(tmp_path, metric, direction):
    run(tmp_path, near_a_hundredth, 1)
    with pytest.raises(UserError, match="holds a search of another"):
        Search(tmp_path, OverridesParser.create().parse_overrides(list(SPACE)), 0, metric, direction, 3)
    with pytest.raises(UserError, match="holds a search of another space"):
        run(tmp_path, near_a_hundredth, 2, space=("optimizer=adam,sgd",))


def test_repeated_draws_do_not_count_as_results(tmp_path):
    run(tmp_path, lambda *_: 0.5, 10, space=("optimizer=adam,sgd", "model.dropout=0,0.5"))
    space = OverridesParser.create().parse_overrides(["optimizer=adam,sgd", "model.dropout=0,0.5"])
    trials = Search(tmp_path, space, 0, METRIC, "maximize", 3).study.trials
    assert sum(trial.state.name == "COMPLETE" for trial in trials) == 4


def test_a_candidate_that_is_no_valid_run_is_none(tmp_path):
    def refuse(candidate, first):
        raise UserError("optimizer.lr is too low.")

    search = Search(tmp_path, OverridesParser.create().parse_overrides(list(SPACE)), 0, METRIC, "maximize", 3)
    with pytest.raises(UserError, match="too low"):
        launch_search(FakeSweep(None), search, refuse, 2, 1, ())
    assert not search.candidates and {trial.state.name for trial in search.study.trials} == {"FAIL"}


def test_a_run_that_fails_between_rungs_is_told(tmp_path):
    sweep = run(tmp_path, lambda _, epoch: 0.5 if epoch == 1 else None, 3, rungs=(1, 2))
    space = OverridesParser.create().parse_overrides(list(SPACE))
    states = {trial.state.name for trial in Search(tmp_path, space, 0, METRIC, "maximize", 3).study.trials}
    assert len(sweep.jobs) == 3 and "RUNNING" not in states


def test_an_interval_of_which_nothing_can_be_drawn_is_explained(tmp_path):
    with pytest.raises(UserError, match="must be above 0"):
        run(tmp_path, near_a_hundredth, 1, space=("optimizer.lr=tag(log,interval(0,1))",))


def test_the_record_lies_in_the_folder_of_the_sweep(tmp_path):
    run(tmp_path, near_a_hundredth, 1)
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]
