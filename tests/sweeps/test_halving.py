from dataclasses import dataclass, field

import pytest

from src.analysis.runs import read_record
from src.errors import UserError
from src.sweeps.halving import check_rungs, launch_halving, score, survivors

METRIC = "metrics.val.top1"


@dataclass
class FakeJob:
    """A job whose accuracy at any rung is known beforehand."""

    recorded: object
    accuracy: float
    status: str = "paused"
    rungs: dict = field(default_factory=dict)

    def record(self):
        return self.recorded(status=self.status, val=self.accuracy, rungs=self.rungs)


@dataclass
class FakeSweep:
    """Notes which jobs were launched how far, and lets each complete its rung."""

    metric: str = METRIC
    direction: str = "maximize"
    launched: list = field(default_factory=list)

    def launch(self, jobs, pause_at=None):
        self.launched.append((sorted(job.accuracy for job in jobs), pause_at))
        for job in jobs:
            if pause_at:
                job.rungs[str(pause_at)] = {"metrics": {"val": {"top1": job.accuracy}}}
            job.status = "paused" if pause_at else "completed"


@pytest.fixture
def noted(recorded):
    """recorded() of one and the same run, composed once."""
    record = recorded()

    def note(status, val, rungs):
        record.run_dir.update_result(status=status, rungs=rungs, metrics={"val": {"top1": val}})
        return read_record(record.run_dir)

    return note


def candidates(noted, accuracies, each=1):
    return [[FakeJob(noted, value) for _ in range(each)] for value in accuracies]


def test_the_best_of_each_rung_continue(noted):
    sweep = FakeSweep()
    launch_halving(sweep, candidates(noted, [0.1, 0.9, 0.5, 0.3, 0.7, 0.2, 0.6, 0.4, 0.8]), [2, 6], eta=3)
    assert sweep.launched == [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 2),
        ([0.7, 0.8, 0.9], 6),
        ([0.9], None),
    ]


def test_without_rungs_all_are_trained_to_the_end(noted):
    sweep = FakeSweep()
    launch_halving(sweep, candidates(noted, [0.1, 0.2]), [], eta=3)
    assert sweep.launched == [([0.1, 0.2], None)]


def test_a_loss_is_the_better_the_lower(noted):
    sweep = FakeSweep(direction="minimize")
    launch_halving(sweep, candidates(noted, [0.1, 0.9, 0.5, 0.3]), [1], eta=2)
    assert sweep.launched[-1] == ([0.1, 0.3], None)


def test_candidates_are_scored_by_the_mean_at_the_rung_whatever_came_later(noted):
    rungs = [{"1": {"metrics": {"val": {"top1": value}}}} for value in (0.2, 0.4)]
    continued = [FakeJob(noted, 0.9, rungs=own) for own in rungs]
    assert score(continued, 1, METRIC) == pytest.approx(0.3)


def test_a_candidate_with_a_failed_run_is_out(noted):
    good, bad = candidates(noted, [0.1, 0.9], each=2)
    for job in (*good, *bad[:1]):
        job.rungs["1"] = {"metrics": {"val": {"top1": job.accuracy}}}
    bad[1].status, bad[1].accuracy = "failed", None
    assert score(bad, 1, METRIC) is None
    assert survivors([good, bad], 1, 2, METRIC, "maximize") == [good]


def test_a_run_whose_patience_ended_before_the_rung_counts_with_its_result(noted):
    early = [FakeJob(noted, 0.6, status="completed")]
    assert score(early, 5, METRIC) == 0.6


@pytest.mark.parametrize(
    ("rungs", "eta", "metric", "problem"),
    [
        ([2, 5], 3, METRIC, None),
        ([], 3, METRIC, None),
        ([5, 2], 3, METRIC, "must rise"),
        ([0], 3, METRIC, "from 1 at least"),
        ([12], 3, METRIC, "below trainer.epochs=12"),
        ([2], 1, METRIC, "eta=1 must be at least 2"),
        ([2], 3, "metrics.test.top1", "is not known at a rung"),
    ],
)
def test_rungs_are_checked(rungs, eta, metric, problem):
    if problem is None:
        check_rungs(rungs, eta, metric, epochs=12)
        return
    with pytest.raises(UserError, match=problem):
        check_rungs(rungs, eta, metric, epochs=12)
