import math
from dataclasses import replace

import pytest

from src.errors import UserError
from src.loggers.history_csv import read_history
from src.optim.schedules import cosine
from src.training import time_budget
from src.training.build import load_splits
from src.training.run import run
from src.training.time_budget import USED, count_epochs, step_seconds
from src.training.trainer import Trainer
from tests.conftest import create_in

TIMED = ("trainer.epochs=null", "trainer.max_minutes=1")


def test_steps_fill_the_time_that_validation_and_evaluation_leave(tiny):
    config = tiny(*TIMED)
    splits = load_splits(config)  # 100 images to train on, 100 to validate, 100 to test
    epoch, evaluation = 100 * 0.01 + 100 * 0.01 / 3, 300 * 0.01 / 3
    steps = math.floor((60 * USED - evaluation) / epoch * 4)
    assert count_epochs(config, splits, {16: 0.01}, 4) == steps / 4


def test_small_images_take_less_of_the_time(tiny):
    config = tiny(*TIMED, "trainer.progressive_resizing=[[0.5,8]]", "data.validation=none")
    epoch, evaluation = 200 * (0.5 * 0.002 + 0.5 * 0.01), 300 * 0.01 / 3
    steps = math.floor((60 * USED - evaluation) / epoch * 8)
    assert count_epochs(config, load_splits(config), {8: 0.002, 16: 0.01}, 8) == steps / 8


def test_a_forward_pass_is_a_smaller_part_of_a_step_of_sam_and_averages_need_some(tiny):
    plain, sam, swa = (
        tiny(*TIMED, *more, "data.validation=none")
        for more in ((), ("trainer.sam_rho=0.1",), ("trainer.swa_start=0.5",))
    )
    plain, sam, swa = (count_epochs(config, load_splits(plain), {16: 0.01}, 8) for config in (plain, sam, swa))
    assert plain == pytest.approx((60 * USED - 1) / 2, abs=0.13) and sam == pytest.approx(
        (60 * USED - 0.5) / 2, abs=0.13
    )
    assert swa == pytest.approx((60 * USED - 1) / (2 + 1 / 3), abs=0.13)  # half of the epochs: 200 images forward


def test_too_little_time_for_a_step_is_refused(tiny):
    config = tiny("trainer.epochs=null", "trainer.max_minutes=0.01")
    problem = r"trainer\.max_minutes=0\.01 is too short for one step and the evaluation, which take about 0\.08 minutes"
    with pytest.raises(UserError, match=problem):
        count_epochs(config, load_splits(config), {16: 0.03}, 4)
    enough = tiny("trainer.epochs=null", "trainer.max_minutes=0.08")
    assert count_epochs(enough, load_splits(config), {16: 0.03}, 4) == 1 / 4


def test_whole_steps_are_timed_without_changing_the_network(tiny, trainer_of, monkeypatch):
    steps, genuine = [], Trainer.optimizer_step
    monkeypatch.setattr(Trainer, "optimizer_step", lambda self: steps.append(self.image_size()) or genuine(self))
    monkeypatch.setitem(time_budget.STEPS, "cpu", 3)
    trainer = trainer_of(tiny("trainer.progressive_resizing=[[0.5,8]]", "trainer.epochs=1e9"))
    before = [weight.clone() for weight in trainer.classifier.model.parameters()]
    config, classifier, splits, run_dir = trainer.config, trainer.classifier, trainer.splits, trainer.run_dir
    assert step_seconds(config, classifier, splits, run_dir, 8) > 0
    assert steps == [8] * 6  # half of them to warm up
    assert all((a == b).all() for a, b in zip(before, trainer.classifier.model.parameters(), strict=True))


def test_the_schedule_ends_with_the_planned_epochs_and_resume_keeps_them(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(time_budget, "count_epochs", lambda *_: 1.5)
    run_dir = create_in(tmp_path / "run", tiny(*TIMED, "scheduler=cosine"))
    run(run_dir.load_config(), run_dir, pause_at=1)
    monkeypatch.setattr(time_budget, "count_epochs", lambda *_: 99)
    run_dir.result_file.unlink()  # as errors advise where it is damaged
    run(run_dir.load_config(), run_dir)
    result = run_dir.load_result()
    assert (result["planned_epochs"], result["steps"], result["stopped_by"]) == (1.5, 6, "epochs")
    lrs = [row["lr"] for row in read_history(run_dir.history_file)]
    assert lrs == pytest.approx([1e-3 * cosine(3 / 4, 1.5), 1e-3 * cosine(5 / 4, 1.5)])


@pytest.mark.slow
def test_a_run_fills_its_time(tiny, trained):
    result = trained(tiny("trainer.epochs=null", "trainer.max_minutes=0.05", "scheduler=cosine")).load_result()
    assert result["status"] == "completed" and result["steps"] > 4
    assert result["steps"] == pytest.approx(4 * result["planned_epochs"]) or result["stopped_by"] == "max_minutes"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (("++loss.reduction=none",), r"loss \(.*\) fails in its first step"),
        (
            ("scheduler.warmup_epochs=1000000",),
            r"warmup_epochs=1e\+06 is longer than the .* epochs that trainer\.max",
        ),
    ],
)
def test_mistakes_of_the_run_are_found_before_it_is_planned(tiny, trained, settings, problem):
    with pytest.raises(UserError, match=problem):
        trained(tiny("trainer.epochs=null", "trainer.max_minutes=0.05", *settings))


def test_a_number_of_epochs_is_kept(tiny, trainer_of):
    trainer = trainer_of(tiny())
    arguments = trainer.config, trainer.classifier, trainer.splits, trainer.run_dir
    assert time_budget.settle_epochs(*arguments, None) is trainer.config


def test_open_epochs_need_a_time(tiny):
    with pytest.raises(UserError, match=r"trainer\.epochs=null needs a time to fill: set trainer\.max_minutes"):
        replace(tiny().trainer, epochs=None)


def test_open_epochs_do_not_know_how_long_compilation_takes(tiny):
    with pytest.raises(UserError, match=r"does not know how long trainer\.compile=true takes"):
        replace(tiny().trainer, epochs=None, max_minutes=1.0, compile=True)
