"""Answers as tables, sentences and a picture: the same for a terminal, Markdown and HTML."""

from collections.abc import Sequence
from statistics import fmean

from src.analysis.answer import CANNOT_TELL, NO_DIFFERENCE, POINT, Answer, ImageTest, compare_images
from src.analysis.compare import Scale, measure_spread, name_metric
from src.analysis.document import Block, Heading, Picture, Table
from src.analysis.pairs import Group
from src.analysis.runs import device_of
from src.analysis.stats import bootstrap_interval, format_spread
from src.formatting import count, duration

LEAST_P = 0.0001  # smaller ones are shown as "< 0.0001"
FEW, MANY = 3, 10  # pairs between which the bootstrap over seeds is shown
READING = (
    "How to read this: a difference is the second setting minus the first, paired by seed and fold, with Student's "
    "95 % interval and t-test; without common seeds, with Welch's. p is corrected for the number of comparisons "
    "(Holm); the intervals are not. A setting helps or hurts where p < 0.05. Runs needed: the runs of each setting "
    "with which the test finds a true difference of the margin with a probability of 80 %, at the spread of these "
    "runs. The t-test asks whether two settings differ over seeds; McNemar's exact test asks whether two networks "
    "differ over images."
)


def show_answers(question: str, answers: Sequence[Answer], metric: str, margin: float) -> list[Block]:
    """The verdicts in words, the settings, their differences, and how sure one can be."""
    groups = list({group.name: group for answer in answers for group in (answer.first, answer.second)}.values())
    return [
        Heading(question, 1),
        *(describe_answer(answer, metric, margin) for answer in answers),
        show_groups(groups, metric),
        show_differences(answers, metric),
        show_certainty(answers, metric),
    ]


def describe_answer(answer: Answer, metric: str, margin: float) -> str:
    """One sentence: "0.1 against 0: helps. +1.32 points of test top1 (+0.61 .. +2.03, p = 0.006) ..."."""
    scale, spread = Scale.of(metric), answer.difference.spread
    size = "one point" if scale.unit and margin == POINT else f"{scale.factor * margin:g}{scale.unit}"
    verdict = f"no difference above {size}" if answer.verdict == NO_DIFFERENCE else answer.verdict
    pairs = f"{spread.n} pair{'s' * (spread.n > 1)} of runs" if answer.difference.paired else "independent runs"
    numbers = f"{scale.signed(spread.mean)}{scale.unit} of {name_metric(metric)}"
    if spread.low is not None:
        numbers += f", 95 % interval {scale.signed(spread.low)} .. {scale.signed(spread.high)}"
    if answer.p is not None:
        numbers += f", p {'' if answer.p < LEAST_P else '= '}{_p(answer.p)}"
    sentence = f"{_title(answer)}: {verdict}. {numbers} ({pairs}); {answer.why}."
    if answer.verdict == CANNOT_TELL and answer.difference.spread.std:
        sentence += f" To detect a difference of {size}, train {_needed(answer)} runs of each: {_more(answer)}."
    return sentence


def show_groups(groups: Sequence[Group], metric: str) -> Table:
    scale = Scale.of(metric)
    rows = [
        [group.name, *format_spread(measure_spread(group.records, metric), scale.spec, scale.factor, scale.percent),
         duration(fmean(record.seconds for record in group.records))]
        for group in groups
    ]  # fmt: skip
    return Table(("setting", name_metric(metric), "95 % interval", "n", "time"), rows, "<>>>>")


def show_differences(answers: Sequence[Answer], metric: str) -> Table:
    scale, rows = Scale.of(metric), []
    for answer in answers:
        numbers = format_spread(answer.difference.spread, f"+{scale.spec}", scale.factor, "")
        rows.append([_title(answer), *numbers, _p(answer.p), answer.verdict])
    header = ("comparison", scale.unit.strip() or "difference", "95 % interval", "n", "p", "verdict")
    return Table(header, rows, "<>>>><")


def show_certainty(answers: Sequence[Answer], metric: str) -> Table:
    """The bootstrap over few seeds, McNemar's test on the images, and the runs needed."""
    rows = []
    for answer in answers:
        images = compare_images(answer.pairing.pairs, metric)
        rows.append([_title(answer), _bootstrap(answer, metric), *_image_cells(images), _needed(answer)])
    header = ("comparison", "bootstrap", "first only", "second only", "McNemar", "runs needed")
    return Table(header, rows, "<>>>>>")


def show_picture(answers: Sequence[Answer], metric: str, margin: float) -> Picture:
    from src.analysis import plots  # imports torch

    scale = Scale.of(metric)
    spreads = {
        _title(answer): tuple(
            scale.factor * value
            for value in (answer.difference.spread.mean, answer.difference.spread.low, answer.difference.spread.high)
            if value is not None
        )
        for answer in answers
    }
    unit = "percentage points" if scale.unit else name_metric(metric)
    label = f"difference of {name_metric(metric)}, {unit}" if scale.unit else f"difference of {unit}"
    caption = "Differences with their 95 % intervals; within the gray band they are smaller than the margin."
    return Picture("differences", caption, plots.plot_differences(spreads, scale.factor * margin, label))


def warn(answers: Sequence[Answer], metric: str) -> list[str]:
    """Sentences on what speaks against the answers as they stand."""
    records = [record for answer in answers for group in (answer.first, answer.second) for record in group.records]
    warnings = [
        f"{_title(answer)}: the runs differ in {', '.join(answer.pairing.confounders)}, any of which may be the reason."
        for answer in answers
        if answer.pairing.confounders
    ]
    warnings += [
        f"{_title(answer)}: fewer than two pairs of runs have equal seeds and other settings, so the runs are compared "
        "as independent groups; train both with the same seeds for a sharper answer."
        for answer in answers
        if not answer.difference.paired
    ]
    for answer in answers:
        pairs, seeds = answer.pairing.pairs, {first.replicate for first, _ in answer.pairing.pairs}
        have_equal_seeds = all(first.replicate == second.replicate for first, second in pairs)  # not with by=seed
        if answer.difference.paired and have_equal_seeds and len(seeds) < len(pairs):
            shared = f"{len(pairs)} pairs of runs have only {count(len(seeds), 'combination')} of seed and fold"
            warnings.append(f"{_title(answer)}: {shared}; the test takes them for independent.")
        alone = len(answer.first.records) + len(answer.second.records) - 2 * len(answer.pairing.pairs)
        if answer.difference.paired and alone:
            subject, verb = ("1 run has", "counts") if alone == 1 else (f"{alone} runs have", "count")
            warnings.append(f"{_title(answer)}: {subject} no partner and {verb} only in the table of settings.")
    if ".val." in metric and any(record.result.get("evaluated") == "best" for record in records):
        warnings.append(
            "The checkpoint of each run was chosen on the validation images that are compared, so these accuracies are "
            "too high; metric=metrics.test.top1 compares on images that chose nothing."
        )
    if len({record.settings["data.fold"] for record in records}) > 1:
        warnings.append("Folds share training images, so the intervals are narrower than those of independent runs.")
    devices = sorted({device_of(record) for record in records})
    if len(devices) > 1:
        warnings.append(f"The runs were trained on different devices ({'; '.join(devices)}).")
    if any(record.metric("data.seen_by_base") for record in records) and ".val." in metric:
        warnings.append("Some base runs (init.run) have seen the validation images, so these accuracies are too high.")
    return warnings


def _title(answer: Answer) -> str:
    return f"{answer.second.name} against {answer.first.name}"


def _p(p: float | None) -> str:
    if p is None:
        return "-"
    return f"< {LEAST_P:.4f}" if p < LEAST_P else f"{p:.2g}"


def _needed(answer: Answer) -> str:
    if not answer.difference.spread.std:
        return "-"
    return "> 1000" if answer.needed is None else str(answer.needed)


def _more(answer: Answer) -> str:
    if answer.needed is None:
        return "too many to train"
    more = answer.needed - answer.difference.spread.n
    return f"{more} more than there are" if more > 0 else "as many as there are; the true difference may be smaller"


def _bootstrap(answer: Answer, metric: str) -> str:
    pairs = answer.pairing.pairs if answer.difference.paired else ()
    if not FEW <= len(pairs) < MANY:
        return "-"
    interval = bootstrap_interval([second.metric(metric) - first.metric(metric) for first, second in pairs])
    return " .. ".join(map(Scale.of(metric).signed, interval))


def _image_cells(images: ImageTest | None) -> list[str]:
    if images is None:
        return ["-", "-", "-"]
    return [f"{images.only_first:.0f}", f"{images.only_second:.0f}", f"{images.told_apart} of {images.pairs}"]
