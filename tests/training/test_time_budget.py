from dataclasses import replace

import pytest

from src.errors import UserError
from src.loggers.history_csv import read_history
from src.optim.schedules import cosine
from src.training import time_budget
from src.training.build import load_splits
from src.training.run import run
from src.training.time_budget import USED, count_epochs, step_seconds
from tests.conftest import create_in

TIMED = ("trainer.epochs=null", "trainer.max_minutes=1")


def test_epochs_fill_the_time_that_validation_and_evaluation_leave(tiny):
    config = tiny(*TIMED)
    splits = load_splits(config)  # 100 images to train on, 100 to validate, 100 to test
    epoch, evaluation = 100 * 0.01 + 100 * 0.01 / 3, 300 * 0.01 / 3
    assert count_epochs(config, splits, {16: 0.01}) == pytest.approx((60 * USED - evaluation) / epoch, abs=0.005)


def test_small_images_take_less_of_the_time(tiny):
    config = tiny(*TIMED, "trainer.progressive_resizing=[[0.5,8]]", "data.validation=none")
    splits = load_splits(config)
    epoch, evaluation = 200 * (0.5 * 0.002 + 0.5 * 0.01), 300 * 0.01 / 3
    found = count_epochs(config, splits, {8: 0.002, 16: 0.01})
    assert found == pytest.approx((60 * USED - evaluation) / epoch, abs=0.005)


def test_too_little_time_for_a_step_is_refused(tiny):
    config = tiny("trainer.epochs=null", "trainer.max_minutes=0.01")
    problem = r"trainer\.max_minutes=0\.01 is too short for one step and the evaluation, which take about 0\.1 minutes"
    with pytest.raises(UserError, match=problem):
        count_epochs(config, load_splits(config), {16: 0.03})


def test_steps_are_timed_without_changing_the_network(tiny, trainer_of):
    trainer = trainer_of(tiny("trainer.progressive_resizing=[[0.5,8]]", "trainer.grad_accumulation_steps=2"))
    before = [weight.clone() for weight in trainer.classifier.model.parameters()]
    config, classifier, splits, run_dir = trainer.config, trainer.classifier, trainer.splits, trainer.run_dir
    assert all(step_seconds(config, classifier, splits, run_dir, size) > 0 for size in (8, 16))
    assert all((a == b).all() for a, b in zip(before, trainer.classifier.model.parameters(), strict=True))


def test_the_schedule_ends_with_the_planned_epochs_and_resume_keeps_them(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(time_budget, "count_epochs", lambda *_: 1.5)
    run_dir = create_in(tmp_path / "run", tiny(*TIMED, "scheduler=cosine"))
    run(run_dir.load_config(), run_dir, pause_at=1)
    monkeypatch.setattr(time_budget, "count_epochs", lambda *_: 99)
    run(run_dir.load_config(), run_dir)
    result = run_dir.load_result()
    assert (result["planned_epochs"], result["steps"], result["stopped_by"]) == (1.5, 6, "epochs")
    lrs = [row["lr"] for row in read_history(run_dir.history_file)]
    assert lrs == pytest.approx([1e-3 * cosine(3 / 4, 1.5), 1e-3 * cosine(5 / 4, 1.5)])


def test_a_number_of_epochs_is_kept(tiny, trainer_of):
    trainer = trainer_of(tiny())
    arguments = trainer.config, trainer.classifier, trainer.splits, trainer.run_dir
    assert time_budget.settle_epochs(*arguments) is trainer.config


def test_open_epochs_need_a_time(tiny):
    with pytest.raises(UserError, match=r"trainer\.epochs=null needs a time to fill: set trainer\.max_minutes"):
        replace(tiny().trainer, epochs=None)
