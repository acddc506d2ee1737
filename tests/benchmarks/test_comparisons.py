from dataclasses import replace

import pytest
import torch

from src.benchmarks import comparisons
from src.benchmarks.comparisons import (
    NEVER,
    Comparison,
    Training,
    compare_arithmetic,
    compare_augmentation,
    compare_loop,
    compare_pipeline,
    measure_trainings,
)
from src.models.summary import summarize
from src.targets import build


def test_ratio_is_the_median_of_the_rounds_ratios():
    row = Comparison("x", "images/s", "CPU", [(1.0, 2.0), (3.0, 3.0), (8.0, 4.0)])
    sides = {"cifarlab": 3.0, "other": 3.0, "ratio": 1.0}
    assert {key: row.as_dict()[key] for key in sides} == sides
    assert row.cells() == ("x", "3.0", "3.0", "images/s", "1.000", "CPU")


def test_a_training_shows_every_seeds_accuracy():
    row = Training("x", "CPU", [0, 1, 2], [4.0, 6.0, 4.5], [0.65, 0.66, 0.655])
    assert row.cells() == ("x: test 65.00 %, 66.00 %, 65.50 %", "5.25", "4.00", "minutes, first", "1.312", "CPU")
    assert row.as_dict()["seeds"] == [0, 1, 2]


def test_the_first_training_of_a_process_is_shown_beside_the_later_ones():
    row = Training("x", "CPU", [0, 1, 2], [6.0, 4.0, 5.0], [0.65, 0.66, 0.655])
    assert row.cells()[1:] == ("4.50", "6.00", "minutes, first", "0.750", "CPU")
    assert Training("x", "CPU", [0], [6.0], [0.65]).cells()[1:] == ("6.00", "-", "minutes", "-", "CPU")


def test_arithmetic_is_compared_with_a_matrix_product(tiny, monkeypatch):
    monkeypatch.setattr(comparisons, "MATRIX_SIZE", 64)
    monkeypatch.setattr("src.benchmarks.baselines.MATRIX_SIZE", 64)
    monkeypatch.setattr(comparisons, "images_per_second", lambda *_: 1000.0)
    config = tiny()
    row = compare_arithmetic(config, "x", rounds=2, seconds=0.01)
    per_image = summarize(build(config.model, "model"), config.data.image_size).multiply_adds
    assert row.unit == "TFLOP/s" and [ours for ours, _ in row.rounds] == [6 * per_image * 1000 / 1e12] * 2
    assert all(limit > 0 for _, limit in row.rounds)


@pytest.fixture
def sides(monkeypatch):
    """(name, settings, number of training images) of each side that is prepared, in order; none computes anything."""
    prepared = []

    def prepare(name):
        return lambda config, splits, _: prepared.append((name, config, len(splits.train))) or (lambda: None)

    for name in ("bare_epoch", "loop_epoch", "dataloader_epoch"):
        monkeypatch.setattr(comparisons, name, prepare(name))
    monkeypatch.setattr(comparisons, "time_call", lambda *_: 0.3)  # of three batches
    monkeypatch.setattr(comparisons, "images_per_second", lambda _, num_images, __: num_images)
    return prepared


@pytest.mark.parametrize(
    ("seconds", "num_batches"),
    [(0.1, 3), (1.0, 10), (1e6, 3125)],  # at least three; as many as fill the time; at most 50,000 images
)
def test_both_sides_take_the_images_of_so_many_seconds_of_the_bare_step(tiny, sides, seconds, num_batches):
    row = compare_pipeline(tiny(), "x", rounds=2, seconds=seconds)
    images = num_batches * 16
    assert [side[::2] for side in sides] == [("bare_epoch", 48), ("loop_epoch", images), ("dataloader_epoch", images)]
    assert row.rounds == [(images, images)] * 2 and row.unit == "images/s"
    assert row.what == "training loop / torchvision and DataLoader, x"


def test_sides_see_full_size_images_and_are_not_interrupted_by_a_checkpoint(tiny, sides):
    config = tiny("trainer.progressive_resizing=[[0.5,4]]", "trainer.checkpoint_minutes=0.001")
    row = compare_loop(config, "x", rounds=1, seconds=1.0)
    assert [name for name, _, _ in sides] == ["bare_epoch", "loop_epoch", "bare_epoch"]
    for _, seen, _ in sides:
        assert seen.trainer.progressive_resizing == [] and seen.trainer.checkpoint_minutes == NEVER
        assert replace(seen, trainer=config.trainer) == config
    assert row.what == "training loop / bare step, x"


@pytest.mark.parametrize("compare", [compare_loop, compare_pipeline])
@pytest.mark.slow
def test_epochs_are_measured(tiny, compare):
    row = compare(tiny("data.augment=true"), "x", rounds=2, seconds=0.01)
    assert len(row.rounds) == 2 and all(ours > 0 and other > 0 for ours, other in row.rounds)
    assert row.on.startswith("CPU") or torch.cuda.is_available()


@pytest.mark.parametrize("name", ["affine", "crop_flip"])
@pytest.mark.slow
def test_augmentations_are_measured_with_one_thread(tiny, name):
    row = compare_augmentation(tiny(f"augmentation={name}", "trainer.device=cpu"), name, rounds=2, seconds=0.01)
    assert len(row.rounds) == 2 and all(ours > 0 and other > 0 for ours, other in row.rounds)
    assert (row.what, row.unit) == (f"augmentation, batch / torchvision, {name}", "us/image")
    assert row.on == "CPU, 1 thread, fp32"


@pytest.mark.slow
def test_trainings_are_whole_runs_and_leave_nothing(tiny, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(comparisons.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("src.training.run.save_figures", lambda *_: {})  # most of the time of such a short run
    configs = [tiny("trainer.epochs=1", f"seed={seed}", "logger=default") for seed in (3, 4)]
    row = measure_trainings(configs, "x")
    assert row.seeds == [3, 4] and len(row.minutes) == len(row.test_top1) == 2
    assert all(minutes > 0 for minutes in row.minutes) and all(0 <= top1 <= 1 for top1 in row.test_top1)
    assert row.what == "whole training, x"
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr().out == ""
