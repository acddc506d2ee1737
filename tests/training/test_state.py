from dataclasses import asdict

from src.training.state import TrainState


def test_a_run_begins_at_nothing():
    assert asdict(TrainState()) == {
        "epoch": 0, "batch": 0, "step": 0, "averaged": 0, "seconds": 0.0, "seconds_saving": 0.0, "lr": 0.0,
        "history": [],
    }  # fmt: skip
    assert TrainState().best == {}


def test_the_best_epoch_is_the_first_of_the_highest_accuracy():
    rows = [{"epoch": epoch, "val_top1": top1} for epoch, top1 in ((1, None), (2, 0.3), (3, 0.4), (4, 0.4))]
    assert TrainState(history=rows).best == rows[2]
    assert TrainState(history=rows[:1]).best == {}


def test_runs_do_not_share_a_history():
    first, second = TrainState(), TrainState()
    first.history.append({"epoch": 1})
    assert second.history == []
