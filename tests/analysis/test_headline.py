import pytest

from src.analysis.compare import compare
from src.analysis.document import Table
from src.analysis.headline import show_headline


@pytest.fixture
def three(recorded):
    """By validation sgd is best; on the test set it is two points better than adam, and as good as adamw."""
    gains = {"adam": (0, 0, 0), "adamw": (0.02, 0.019, 0.021), "sgd": (0.021, 0.018, 0.02)}
    return [
        recorded(f"optimizer={name}", f"seed={n}", val=0.4 + n / 100 + 2 * sum(gain), test=0.5 + n / 50 + gain[n])
        for name, gain in {**gains, "sgd": gains["sgd"]}.items()
        for n in range(3)
    ]


def test_the_answer_is_chosen_by_validation_and_judged_on_the_test_set(three):
    title, answer, table, picture = show_headline(compare(three[:3] + three[6:] + three[3:6]))
    assert title.text == "Which optimizer is best?"
    assert answer.startswith("1. adamw has the best val top1: 53.00 % (95 % interval 50.52 .. 55.48 %, 3 runs).")
    assert "On the test set it is better than 1 of 2 other settings (p < 0.05, Holm)" in answer
    assert "its difference from 1 of 2 other settings is below one point" in answer
    assert isinstance(table, Table) and table.header[:2] == ["setting", "val top1"]
    assert [row[0] for row in table.rows] == ["1. adamw", "2. sgd", "3. adam"]
    assert [row[3] for row in table.rows] == ["54.00 %", "53.97 %", "52.00 %"]
    assert len(picture.figure.axes[0].lines) == 6  # an interval and a mean each


@pytest.mark.parametrize(
    ("setting", "values", "title"),
    [
        ("optimizer", ("adam", "sgd"), "Which optimizer is better?"),
        ("model.dropout", (0, 0.5), "Does model.dropout help?"),
    ],
)
def test_of_two_choices_one_is_better_and_a_setting_may_help(recorded, setting, values, title):
    runs = [recorded(f"{setting}={value}", val=0.4, test=0.4) for value in values]
    assert show_headline(compare(runs))[0].text == title


def test_one_setting_has_no_rivals(recorded):
    title, answer, *_ = show_headline(compare([recorded(f"seed={n}", val=0.4, test=0.4) for n in range(2)]))
    assert title.text == "How good is this setting?"
    assert answer == "1. all runs has the best val top1: 40.00 % (95 % interval 40.00 .. 40.00 %, 2 runs)."


def test_runs_without_a_result_have_no_answer(recorded):
    assert show_headline(compare([recorded(status="failed")]))[1] == "No run has been evaluated yet."
