"""Runs of 32 steps that provoke the hint, and runs that must not give it."""

import logging

import pytest

from src.training.chance import chance_level, find_cause, learns_but_guesses

NORMED = (
    "model.batch_norm=true", "model.width=1", "model.blocks=[[16],[32],[32]]", "model.dense=[]", "trainer.epochs=6",
    "optimizer.lr=0.01",
)  # fmt: skip


@pytest.fixture
def hints(tiny, trainer_of, monkeypatch, caplog):
    """hints(*overrides) -> what a training warns of."""

    def train(*overrides):
        monkeypatch.setattr(logging.getLogger("cifarlab"), "propagate", True)
        trainer = trainer_of(tiny(*NORMED, *overrides))
        trainer.run_dir.path.mkdir()
        trainer.fit()
        assert trainer.state.history[-1]["train_top1"] > 0.2
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    return train


def test_statistics_that_lag_behind_are_named_once_with_the_setting_that_mends_it(hints):
    (hint,) = hints()
    assert hint.startswith("  validation is at chance although training is not: batch norm's running statistics, means")
    assert "over about 100 steps, lag behind the weights after 12 steps; try model.batch_norm_momentum=0.1, " in hint


def test_with_that_setting_nothing_is_said_of_a_network_that_memorizes(hints):
    assert hints("model.batch_norm_momentum=0.3") == []


@pytest.mark.slow
def test_a_network_without_batch_norm_that_memorizes_is_not_warned_of(hints):
    assert hints("model.batch_norm=false", "optimizer.lr=0.003", "trainer.epochs=16") == []


def test_an_average_that_lags_behind_is_named(hints):
    (hint,) = hints("model.batch_norm_momentum=0.5", "trainer.ema_decay=0.9999")
    assert "the averaged weights lag behind the others" in hint and "lower trainer.ema_decay" in hint


def test_without_another_suspect_it_is_the_learning_rate(tiny, trainer_of):
    trainer = trainer_of(tiny("model.batch_norm=false", "optimizer.lr=0.5"))
    train, trainer.state.lr = trainer.splits.train, 0.5
    assert "lower optimizer.lr (0.5 in the last step)" in find_cause(trainer, train.images, train.labels)


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [(0.30, 0.01, True), (0.30, 0.05, False), (0.03, 0.01, False), (0.30, None, False)],
)
def test_only_chance_is_suspicious_and_only_where_training_is_not_at_chance(tiny, trainer_of, train, val, expected):
    row = {"train_top1": train, "val_top1": val}
    assert learns_but_guesses(row, trainer_of(tiny()), 100) == expected


def test_what_guessing_does_not_exceed():
    """Of 100 classes on 2,500 images: a standard deviation is 0.1 x sqrt(0.99) / 50."""
    assert abs(chance_level(100, 2500) - 0.01597) < 1e-5
