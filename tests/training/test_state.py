from dataclasses import asdict

import torch

from src.training.meter import Meter
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


def test_an_ended_epoch_is_a_row_of_the_history():
    state, meter = TrainState(epoch=3, batch=7, seconds=9.0, lr=0.1), Meter(torch.device("cpu"))
    meter.update(torch.tensor(2.0), torch.tensor(1), 4)
    meter.seconds = 2.0
    state.end_epoch(meter, None)
    assert (state.epoch, state.batch) == (4, 0)
    assert state.history == [
        {
            "epoch": 4,
            "train_loss": 2.0,
            "train_top1": 0.25,
            "val_loss": None,
            "val_top1": None,
            "lr": 0.1,
            "images_per_second": 2.0,
            "seconds": 9.0,
        }
    ]
