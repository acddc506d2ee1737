import pytest

from src.analysis.compare import compare
from src.analysis.winner import choose_winner


def candidates(recorded, *tops, count=2500, part="val", **facts):
    """One run each, with dropout 0, 0.1, ..."""
    data = {"validation_images": count, "test_images": 2 * count}
    return [recorded(f"model.dropout={n / 10}", data=data, **{part: top1}, **facts) for n, top1 in enumerate(tops)]


def test_a_small_lead_of_one_run_each_is_noise(recorded):
    """p by hand: 0.01 / sqrt((0.40 x 0.60 + 0.41 x 0.59) / 2500) = 0.7205, of which both tails are 0.4712."""
    winner = choose_winner(compare(candidates(recorded, 0.40, 0.41, 0.20)))
    assert not winner.is_clear and winner.row.settings == {"model.dropout": 0.1}
    assert winner.text == (
        "best: model.dropout=0.1, val top1 41.00 %. Its lead over the next, 1.00 points, is within noise "
        "(one run each, 2,500 images, p = 0.47); 1 of 2 others cannot be told from it."
    )


def test_a_large_lead_is_more_than_noise(recorded):
    winner = choose_winner(compare(candidates(recorded, 0.40, 0.46)))
    assert winner.is_clear and "6.00 points, is more than noise (one run each, 2,500 images, p = " in winner.text
    assert not choose_winner(compare(candidates(recorded, 0.40, 0.46, count=250))).is_clear


def test_a_run_that_failed_before_it_read_its_data_hides_no_noise(recorded):
    failed = recorded("model.dropout=0.1", "seed=0", data={}, status="failed")
    finished = recorded("model.dropout=0.1", "seed=1", val=0.46, data={"validation_images": 2500})
    winner = choose_winner(compare([*candidates(recorded, 0.40), failed, finished]))
    assert winner.is_clear and "(one run each, 2,500 images, p = " in winner.text


def test_how_many_runs_each_of_the_two_has_is_said(recorded):
    data = {"validation_images": 2500}
    records = [
        recorded(f"model.dropout={p}", f"seed={s}", val=0.4 + p / 10, data=data)
        for p, s in ((0, 0), (0.1, 0), (0.1, 1))
    ]
    assert "(2 and 1 runs, 2,500 images, p = " in choose_winner(compare(records)).text


def test_many_candidates_raise_the_bar(recorded):
    """p is 0.039 for one pair (z = 2.06), and after Holm nine times that."""
    assert choose_winner(compare(candidates(recorded, 0.4287, 0.40))).is_clear
    assert not choose_winner(compare(candidates(recorded, 0.4287, *[0.40] * 9))).is_clear


def test_seeds_tell_their_own_noise(recorded):
    def runs(*shifts):
        return compare(
            [
                recorded(f"model.dropout={n / 10}", f"seed={seed}", val=0.4 + n / 100 + shift)
                for n in (0, 1) for seed, shift in enumerate(shifts if n else (0.0, 0.0, 0.0))
            ]
        )  # fmt: skip

    assert choose_winner(runs(0.001, 0.0, -0.001)).is_clear
    noisy = choose_winner(runs(0.05, 0.0, -0.05))
    assert not noisy.is_clear and "(3 runs each, p = 0.76)" in noisy.text and "with seed=3,4,5 to tell" in noisy.text


def test_runs_that_are_not_completed_are_named(recorded):
    cut = recorded("model.dropout=0.5", status="interrupted")
    text = choose_winner(compare([*candidates(recorded, 0.40, 0.46), cut])).text
    assert "val top1 46.00 % (1 run is not completed and not counted). Its lead over the next" in text


def test_of_a_loss_one_run_says_nothing(recorded):
    records = candidates(recorded, 0.4, 0.5)
    winner = choose_winner(compare(records, "best_epoch"))
    assert winner is None  # nothing was measured
    records = [recorded(f"model.dropout={n / 10}", val=0.1, best_epoch=n + 1) for n in (0, 1)]
    winner = choose_winner(compare(records, "best_epoch"))
    assert not winner.is_clear and "may be noise, for a single run does not show" in winner.text


def test_those_that_a_search_stopped_are_no_rivals(recorded):
    stopped = {"status": "paused", "rungs": {"1": {"metrics": None}}}
    last, *others = candidates(recorded, 0.4), *candidates(recorded, 0.9, 0.39, **stopped)
    winner = choose_winner(compare([*last, *others[1:]]))
    assert winner.row.records[0] == last[0] and winner.text.endswith("All others were stopped earlier.")


@pytest.mark.parametrize("tops", [(0.4,), (0.4, None)])
def test_one_setting_has_no_rival(recorded, tops):
    assert choose_winner(compare(candidates(recorded, *tops))) is None
