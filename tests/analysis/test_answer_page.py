import pytest

from src.analysis.answer import answer_all
from src.analysis.answer_page import describe_answer, show_answers, show_picture, warn
from src.analysis.compare import differing
from src.analysis.document import to_text
from src.analysis.pairs import group_by, pair_runs

TOP1, BY = "metrics.test.top1", "trainer.label_smoothing"


def answer(runs, by, metric=TOP1, margin=0.01, direction="maximize"):
    columns = differing(runs)
    groups = group_by(runs, [by], columns)
    return answer_all([(*groups[:2], pair_runs(*groups[:2], [by], columns))], metric, direction, margin)


@pytest.fixture
def smoothing(recorded):
    gains = (0.013, 0.012, 0.015, 0.012)
    return [
        recorded(f"{BY}={value}", f"seed={n}", test=0.5 + n / 100 + gains[n] * (value > 0), overridden=[BY])
        for value in (0, 0.1)
        for n in range(4)
    ]


def test_the_answer_is_a_sentence(smoothing):
    (found,) = answer(smoothing, BY)
    assert describe_answer(found, TOP1, 0.01) == (
        "0.1 against 0: helps. +1.30 points of test top1, 95 % interval +1.07 .. +1.53, p = 0.00035 (4 pairs of runs); "
        "p < 0.05."
    )


def test_what_cannot_be_told_says_how_many_runs_it_takes(recorded):
    gains = (0.03, -0.02, 0.01)
    runs = [recorded(f"model.width={w}", f"seed={n}", test=0.5 + gains[n] * w) for w in (1, 2) for n in range(3)]
    (found,) = answer(runs, "model.width")
    assert describe_answer(found, TOP1, 0.01).endswith(
        "the interval holds 0 and reaches beyond the margin. To detect a difference of one point, train 52 runs of "
        "each: 49 more than there are."
    )


def test_no_difference_is_no_difference_above_the_margin(recorded):
    runs = [
        recorded(f"model.width={w}", f"seed={s}", test=0.5 + (s - w) / 1000 + s * w / 1e5)
        for w in (1, 2)
        for s in range(3)
    ]
    (found,) = answer([*runs[:3], *runs[3:]], "model.width")
    assert found.verdict == "hurts" and found.why == "p < 0.05, by less than the margin"
    runs[5] = recorded("model.width=2", "seed=2", test=0.505)
    (found,) = answer(runs, "model.width")
    assert "2 against 1: no difference above one point." in describe_answer(found, TOP1, 0.01)


def test_other_metrics_have_no_percent(recorded):
    runs = [recorded(f"model.width={w}", f"seed={s}", test=0.5, epochs=w * 10 + s * w) for w in (1, 2) for s in (0, 1)]
    found = answer(runs, "model.width", "epochs", margin=1, direction="minimize")
    text = to_text(show_answers("Which?", found, "epochs", 1)[1:])
    assert "+10.5 of epochs" in text and "%  " not in text and "points" not in text


def test_tables_of_settings_and_differences(smoothing):
    found = answer(smoothing, BY)
    heading, _, groups, differences, certainty = show_answers("Does it help?", found, TOP1, 0.01)
    assert heading.text == "Does it help?"
    assert groups.rows[0] == ["0", "51.50 %", "49.45 .. 53.55 %", "4", "1 min 00 s"]
    assert differences.rows == [["0.1 against 0", "+1.30", "+1.07 .. +1.53", "4", "0.00035", "helps"]]
    assert certainty.rows == [["0.1 against 0", "+1.20 .. +1.43", "-", "-", "-", "2"]]
    assert max(map(len, to_text([groups, differences, certainty]).splitlines())) <= 80


def test_the_picture_spans_the_intervals(smoothing):
    (ax,) = show_picture(answer(smoothing, BY), TOP1, 0.01).figure.axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.1 against 0"]
    interval, mean = ax.lines[1:]
    assert mean.get_xdata()[0] == pytest.approx(1.3)
    assert list(interval.get_xdata()) == pytest.approx([1.07, 1.53], abs=0.01)


def test_runs_that_can_be_compared_need_no_note(smoothing):
    assert warn(answer(smoothing, BY), TOP1) == []


def test_runs_without_a_partner_are_noted(smoothing):
    (note,) = warn(answer(smoothing[:-1], BY), TOP1)
    assert note == "0.1 against 0: 1 run has no partner and counts only in the table of settings."


def test_pairs_that_share_a_seed_are_noted(recorded):
    runs = [
        recorded(f"model={model}", f"{BY}={value}", f"seed={n}", test=0.5 + n / 100 + value, overridden=[BY])
        for model in ("deep", "baseline") for value in (0, 0.1) for n in (0, 1)
    ]  # fmt: skip
    assert warn(answer(runs, BY), TOP1) == [
        "0.1 against 0: 4 pairs of runs have only 2 combinations of seed and fold; the test takes them for independent."
    ]


@pytest.mark.slow
def test_notes_say_what_speaks_against_an_answer(recorded):
    def run(name, lr, seed, **facts):
        return recorded(
            f"optimizer={name}", f"optimizer.lr={lr}", f"seed={seed}", test=0.5, val=0.5, overridden=["optimizer.lr"],
            **facts,
        )  # fmt: skip

    apart = [run("adam", 0.1, 0), run("adam", 0.1, 1), run("sgd", 0.2, 2), run("sgd", 0.2, 3)]
    notes = warn(answer(apart, "optimizer"), TOP1)
    assert notes[0].startswith("sgd against adam: the runs differ in optimizer.lr, any of which")
    assert notes[1].startswith("sgd against adam: fewer than two pairs of runs")
    chosen = [run("adam", 0.1, 0, evaluated="best"), run("sgd", 0.1, 0, environment={"device": "GPU"})]
    (chosen_by, devices) = warn(answer(chosen, "optimizer", "metrics.val.top1"), "metrics.val.top1")
    assert "chosen on the validation images" in chosen_by
    assert devices == "The runs were trained on different devices (CPU; GPU)."
    assert len(warn(answer(chosen, "optimizer"), TOP1)) == 1
    folds = [
        recorded("data.validation=fold", f"data.fold={f}", f"model.width={w}", test=0.1) for w in (1, 2) for f in (0, 1)
    ]
    assert warn(answer(folds, "model.width"), TOP1)[0].startswith("Folds share training images")
