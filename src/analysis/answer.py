"""The answer to "does X help?": the difference of two groups of runs, its tests, and a verdict in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from src.analysis.pairs import Group, Pairing
from src.analysis.runs import RunRecord
from src.analysis.stats import Difference, adjust_holm, mcnemar, paired_difference, runs_needed, unpaired_difference

ALPHA = 0.05  # of all comparisons together
LOGITS_OF = {
    "metrics.test.top1": lambda run_dir: run_dir.test_logits_file,
    "metrics.val.top1": lambda run_dir: run_dir.val_logits_file,
}
POINT = 0.01  # a smaller difference of accuracies counts as none
HELPS, HURTS, NO_DIFFERENCE, CANNOT_TELL = "helps", "hurts", "no difference", "cannot tell"


class ImageTest(NamedTuple):
    """McNemar's exact test of each pair of runs on the same images.

    `only_first` and `only_second`: images that one run alone classifies correctly, the mean over the pairs;
    `told_apart`: the number of pairs that differ at the 5 % level after Holm's correction.
    """

    only_first: float
    only_second: float
    told_apart: int
    pairs: int


@dataclass(frozen=True)
class Answer:
    """Whether `second` is better than `first`, by the difference of a metric, second minus first."""

    first: Group
    second: Group
    pairing: Pairing
    difference: Difference
    p: float | None  # after Holm's correction for all answers
    needed: int | None  # runs of each to find a difference of `margin` with a power of 80 %
    verdict: str
    why: str


def measure_difference(first: Group, second: Group, pairing: Pairing, metric: str) -> Difference:
    """Paired where there are two pairs or more, or one pair and a group of a single run; else between the groups.

    Every run must have measured the metric.
    """
    if len(pairing.pairs) > 1 or (pairing.pairs and min(len(first.records), len(second.records)) < 2):
        sides = zip(*((a.metric(metric), b.metric(metric)) for a, b in pairing.pairs), strict=True)
        return paired_difference(*sides)
    return unpaired_difference(*([record.metric(metric) for record in group.records] for group in (first, second)))


def answer_all(
    compared: Sequence[tuple[Group, Group, Pairing]], metric: str, direction: str, margin: float
) -> list[Answer]:
    """One answer for each pair of groups; `margin` is the smallest difference of the metric that counts."""
    differences = [measure_difference(*each, metric) for each in compared]
    adjusted = iter(adjust_holm([difference.p for difference in differences if difference.p is not None]))
    answers = []
    for each, difference in zip(compared, differences, strict=True):
        p = None if difference.p is None else next(adjusted)
        needed = None
        if difference.spread.std is not None:
            needed = runs_needed(difference.spread.std, margin, difference.paired, ALPHA / len(compared))
        answers.append(Answer(*each, difference, p, needed, *judge(difference, p, direction, margin)))
    return answers


def judge(difference: Difference, p: float | None, direction: str, margin: float) -> tuple[str, str]:
    """The verdict and its reason. `p` is corrected for several comparisons, the interval is not.

    The second group helps or hurts where p < 0.05. There is no difference above the margin where the whole 95 %
    interval lies within it.
    """
    spread = difference.spread
    if p is None and spread.n == 1:
        return CANNOT_TELL, "a single run of one side has no spread: train more seeds"
    if p is None:
        return CANNOT_TELL, "all runs differ equally, so their spread is unknown"
    if p < ALPHA:
        is_better = (spread.mean > 0) == (direction == "maximize")
        below = ", by less than the margin" if abs(spread.low) < margin and abs(spread.high) < margin else ""
        return HELPS if is_better else HURTS, f"p < {ALPHA:g}{below}"
    if spread.low > -margin and spread.high < margin:
        return NO_DIFFERENCE, "the whole interval lies within the margin"
    if spread.low > 0 or spread.high < 0:
        return (
            CANNOT_TELL,
            "the interval excludes 0, but p is above 0.05 after Holm's correction for several comparisons",
        )
    return CANNOT_TELL, "the interval holds 0 and reaches beyond the margin"


def compare_images(pairs: Sequence[tuple[RunRecord, RunRecord]], metric: str) -> ImageTest | None:
    """McNemar's test on the saved logits of the images whose accuracy `metric` is.

    None for another metric, and where a run has no logits, or those of other images than its partner. Equal labels do
    not prove equal validation images: folds may hold equally many images of each class.
    """
    if metric not in LOGITS_OF:
        return None
    from src.predictions import load_predictions  # imports torch

    counts = []
    for pair in pairs:
        files = [LOGITS_OF[metric](record.run_dir) for record in pair]
        if not all(file.exists() for file in files) or (".val." in metric and not _share_split(*pair)):
            return None
        first, second = map(load_predictions, files)
        if not first.labels.equal(second.labels) or first.classes != second.classes:
            return None
        right_first, right_second = (each.logits.argmax(dim=1) == each.labels for each in (first, second))
        counts.append(((right_first & ~right_second).sum().item(), (right_second & ~right_first).sum().item()))
    if not counts:
        return None
    told_apart = sum(p < ALPHA for p in adjust_holm([mcnemar(*count) for count in counts]))
    return ImageTest(*map(fmean, zip(*counts, strict=True)), told_apart, len(counts))


def _share_split(first: RunRecord, second: RunRecord) -> bool:
    """Whether both have the same images in the same parts; False where a run does not say."""
    fingerprints = {record.result.get("data", {}).get("fingerprint") for record in (first, second)}
    return len(fingerprints) == 1 and None not in fingerprints
