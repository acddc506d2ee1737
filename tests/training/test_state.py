from dataclasses import asdict

from src.training.state import TrainState


def test_a_run_begins_at_nothing():
    assert asdict(TrainState()) == {
        "epoch": 0, "batch": 0, "step": 0, "averaged": 0, "seconds": 0.0, "seconds_saving": 0.0, "lr": 0.0,
        "best_top1": None, "best_epoch": 0, "history": [],
    }  # fmt: skip


def test_runs_do_not_share_a_history():
    first, second = TrainState(), TrainState()
    first.history.append({"epoch": 1})
    assert second.history == []
