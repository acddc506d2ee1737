"""Successive halving: all candidates train a little, the best of them continue from their checkpoints.

Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization".
"""

import statistics
from collections.abc import Sequence

from src.errors import require
from src.result import Status
from src.sweeps.job import Job
from src.sweeps.sweep import Sweep

Candidate = Sequence[Job]  # one job for each of its seeds and folds


def check_rungs(rungs: Sequence[int], eta: int, metric: str, epochs: float | None) -> None:
    """Raises UserError for rungs that do not rise between the start and a run's last epoch."""
    require(epochs is not None, "hydra.sweeper.rungs needs a number of epochs; set trainer.epochs")
    require(eta >= 2, f"hydra.sweeper.eta={eta} must be at least 2: one candidate in eta continues")
    rising = all(low < high for low, high in zip((0, *rungs), (*rungs, epochs), strict=True))
    require(
        rising, f"hydra.sweeper.rungs={list(rungs)} must rise, from 1 at least, and stay below trainer.epochs={epochs}"
    )
    require(
        metric.startswith("metrics.val."),
        f"hydra.sweeper.metric={metric} is not known at a rung: candidates are compared there by metrics.val.*",
    )


def launch_halving(sweep: Sweep, candidates: Sequence[Candidate], rungs: Sequence[int], eta: int) -> None:
    """Trains all candidates to the first rung, the best 1/eta of them to the next, the last ones to their end."""
    alive = list(candidates)
    for epoch in rungs:
        sweep.launch([job for candidate in alive for job in candidate], pause_at=epoch)
        alive = survivors(alive, epoch, eta, sweep.metric, sweep.direction)
        print(f"\nepoch {epoch}: {len(alive)} of {len(candidates)} candidates continue", flush=True)
    sweep.launch([job for candidate in alive for job in candidate])


def survivors(
    candidates: Sequence[Candidate], epoch: int, eta: int, metric: str, direction: str
) -> Sequence[Candidate]:
    """The best 1/eta, at least one, by the mean of their runs at the rung; a candidate with a failed run is out."""
    sign = -1 if direction == "maximize" else 1
    scores = [score(candidate, epoch, metric) for candidate in candidates]
    ranked = sorted((sign * value, index) for index, value in enumerate(scores) if value is not None)
    keep = max(1, len(candidates) // eta)  # of equal ones the first
    return [candidates[index] for _, index in ranked[:keep]]


def score(candidate: Candidate, epoch: int, metric: str) -> float | None:
    """The candidate's mean at the rung, whatever came later; None where a run has not reached it."""
    values = []
    for record in (job.record() for job in candidate):
        if str(epoch) in record.result.get("rungs", {}):
            values.append(record.metric(f"rungs.{epoch}.{metric}"))
        else:  # its patience may have ended it earlier
            values.append(record.metric(metric) if record.status == Status.COMPLETED else None)
    return None if None in values else statistics.fmean(values)
