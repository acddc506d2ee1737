"""Whether runs support a claim: differences paired by seed, their interval, and a verdict in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from src.results.course_report import Claim
from src.results.records import Record
from src.results.statistics import Spread, spread

ACCURACY = "metrics.test.top1"
POINT = 0.01  # what matters: differences below one percentage point are taken for none
RISING = 0.005  # gained from one fifth of the epochs to the next: such a run is not at its end


@dataclass(frozen=True)
class Finding:
    claim: Claim
    difference: Spread | None
    verdict: str  # supported, not supported, not enough runs or budget too short
    why: str


def judge(claim: Claim, runs: Mapping[str, Sequence[Record]]) -> Finding:
    """`runs` are those of each experiment, at one budget.

    Supported, at that budget: the whole 95 % interval lies on the claimed side of 0 (below one point, where no gain is
    claimed). Budget too short: it does not, and what should do better was still improving when it ended.
    """
    missing = [name for name, _ in claim.terms if not runs.get(name)]
    if missing:
        return Finding(claim, None, "not enough runs", f"no runs of {', '.join(missing)}")
    difference = paired_difference(claim, runs)
    if difference is None or difference.margin is None:
        return Finding(claim, difference, "not enough runs", "the rows share fewer than two seeds")
    sign = -1 if claim.expected == "negative" else 1
    low, high = sorted((sign * difference.low, sign * difference.high))
    unfinished = [name for name, weight in claim.terms if sign * weight > 0 and rising(runs[name])]
    too_short = Finding(claim, difference, "budget too short", f"{', '.join(unfinished)} still improved at the end")
    if claim.expected == "nothing":
        if low > 0:
            return Finding(claim, difference, "not supported", "the interval lies above 0: something is gained")
        if unfinished:
            return too_short
        if high < POINT:
            return Finding(claim, difference, "supported", "less than one point is gained")
        return Finding(claim, difference, "not enough runs", "the interval reaches from 0 to more than a point")
    if low > 0:
        return Finding(claim, difference, "supported", "the interval lies on the claimed side of 0")
    if unfinished:
        return too_short
    if high < 0:
        return Finding(claim, difference, "not supported", "the interval lies on the other side of 0")
    if high < POINT:
        return Finding(claim, difference, "not supported", "the interval holds 0 and ends below one point")
    return Finding(claim, difference, "not enough runs", "the interval reaches from 0 to more than a point")


def paired_difference(claim: Claim, runs: Mapping[str, Sequence[Record]]) -> Spread | None:
    """The claim's sum for every seed that all of its rows have."""
    accuracies = {name: {r.replicate: r.metric(ACCURACY) for r in runs[name]} for name, _ in claim.terms}
    shared = set.intersection(*(set(values) for values in accuracies.values()))
    sums = [
        sum(weight * accuracies[name][replicate] for name, weight in claim.terms)
        for replicate in shared
        if all(accuracies[name][replicate] is not None for name, _ in claim.terms)
    ]
    return spread(sums) if sums else None


def rising(records: Sequence[Record]) -> bool:
    """Whether validation accuracy, averaged over the runs, still grew from the last but one fifth to the last."""
    gains = []
    for record in records:
        values = [row["val_top1"] for row in record.history if row["val_top1"] is not None]
        fifth = max(1, len(values) // 5)
        if len(values) >= 2 * fifth:
            gains.append(fmean(values[-fifth:]) - fmean(values[-2 * fifth : -fifth]))
    return not gains or fmean(gains) > RISING  # of so few epochs nobody can tell
