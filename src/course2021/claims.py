"""Whether runs support a claim of the course report: differences paired by seed, their interval, and a verdict."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from src.analysis.answer import POINT
from src.analysis.compare import TEST_ACCURACY, measure_gap
from src.analysis.runs import Rows, RunRecord, drop_repeats
from src.analysis.stats import Spread, compute_spread, runs_needed
from src.course2021.experiments import Claim

RISING = 0.005  # a run that gains more from one fifth of its epochs to the next has not converged
GAP = 0.1  # ten points between training and validation count as overfitting
OVERFITTING = Claim("Overfitting is the main enemy.", "deep: training - validation", "positive")


class Finding(NamedTuple):
    claim: Claim
    difference: Spread | None
    verdict: str  # supported, not supported, not enough runs or budget too short
    why: str


def judge(claim: Claim, runs: Rows) -> Finding:
    """The verdict on a claim, at the budget of `runs`: those of each experiment, all at one budget.

    Supported: the whole 95 % interval lies on the claimed side of 0 (below one point, where the claim is that nothing
    is gained). Budget too short: not supported, but an experiment that should do better was still improving at its end.
    """
    missing = [name for name in claim.weights if not runs.get(name)]
    if missing:
        return Finding(claim, None, "not enough runs", f"no runs of {', '.join(missing)}")
    difference = paired_difference(claim, runs)
    if difference is None or difference.margin is None:
        return Finding(claim, difference, "not enough runs", "the rows share fewer than two seeds")
    if difference.margin == 0:
        return Finding(claim, difference, "not enough runs", "all seeds differ equally, so their spread is unknown")
    sign = -1 if claim.expected == "negative" else 1
    low, high = sorted((sign * difference.low, sign * difference.high))
    improving = [name for name, weight in claim.weights.items() if sign * weight > 0 and is_rising(runs[name])]
    is_nothing = claim.expected == "nothing"
    verdict = _first(
        (low > 0 and is_nothing, "not supported", "the interval lies above 0: something is gained"),
        (low > 0, "supported", "the interval lies on the claimed side of 0"),
        (improving, "budget too short", f"{', '.join(improving)} still improved at the end"),
        (high >= POINT, "not enough runs", f"the interval reaches from 0 to more than a point; {_count(difference)}"),
        (is_nothing, "supported", "less than one point is gained"),
        (high < 0, "not supported", "the interval lies on the other side of 0"),
        (True, "not supported", "the interval holds 0 and ends below one point"),
    )
    return Finding(claim, difference, *verdict)


def judge_overfitting(runs: Rows) -> Finding:
    """Whether `deep` classifies its training images, without augmentation, far better than validation images."""
    gap = measure_gap(runs.get("deep", ()))
    if gap is None or gap.margin is None:
        return Finding(OVERFITTING, gap, "not enough runs", "fewer than two runs of deep")
    if gap.margin == 0:
        return Finding(OVERFITTING, gap, "not enough runs", "all runs have an equal gap, so its spread is unknown")
    verdict = _first(
        (gap.low > GAP, "supported", "training images minus validation: more than ten points"),
        (gap.high > GAP, "not enough runs", "the interval reaches beyond ten points"),
        (is_rising(runs["deep"]), "budget too short", "deep still improved at the end"),
        (True, "not supported", "training images minus validation: no more than ten points"),
    )
    return Finding(OVERFITTING, gap, *verdict)


def paired_difference(claim: Claim, runs: Rows) -> Spread | None:
    """The claim's sum for every seed that all of its experiments have; a repeated run counts once."""
    by_seed = [
        {record.replicate: weight * record.metric(TEST_ACCURACY) for record in drop_repeats(runs[name], TEST_ACCURACY)}
        for name, weight in claim.weights.items()
    ]
    return compute_spread([sum(terms[seed] for terms in by_seed) for seed in set.intersection(*map(set, by_seed))])


def is_rising(records: Sequence[RunRecord]) -> bool:
    """Whether mean validation accuracy grew from the last fifth of epochs but one to the last; True for few epochs."""
    gains = []
    for record in records:
        values = [row["val_top1"] for row in record.history if row["val_top1"] is not None]
        fifth = max(1, len(values) // 5)
        if len(values) >= 2 * fifth:
            gains.append(fmean(values[-fifth:]) - fmean(values[-2 * fifth : -fifth]))
    return not gains or fmean(gains) > RISING


def _count(difference: Spread) -> str:
    """How many seeds would tell a difference of one point, at the spread of these."""
    needed = runs_needed(difference.std, POINT, paired=True)
    return f"{needed or 'more than 1,000'} seeds would detect one point"


def _first(*cases: tuple[object, str, str]) -> tuple[str, str]:
    """Verdict and reason of the first case whose condition holds."""
    return next((verdict, why) for condition, verdict, why in cases if condition)
