"""One checkpoint is evaluated on all images; which one, and on which images, is decided here."""

import pytest
import torch

from src.data.dataset import LabeledImages
from src.loggers.history_csv import read_history
from src.metrics import Metrics
from src.training.build import load_splits
from src.training.final_eval import evaluate_at_pause, metrics_table, num_evaluated
from src.training.trained_model import load_trained


@pytest.fixture(scope="module")
def splits(plain):
    return load_splits(plain.load_config())


def test_flipped_images_are_averaged_in_numbers_of_their_own(tiny, plain, trained, splits):
    flipped = trained(tiny("trainer.tta_flip=true"), "flipped")
    result = flipped.load_result()
    assert result["metrics"] == plain.load_result()["metrics"] and plain.load_result()["tta_flip"] is None
    assert result["tta_flip"].keys() == {"val", "test"}
    model, test = load_trained(str(flipped.path), None, "cpu", False), splits.test
    logits = (model.logits(test.images) + model.logits(test.images.flip(-1))) / 2
    accuracy = (logits.argmax(dim=1) == test.labels).float().mean().item()
    assert result["tta_flip"]["test"]["top1"] == pytest.approx(accuracy)
    loss = torch.nn.functional.cross_entropy(logits, test.labels).item()
    assert result["tta_flip"]["test"]["loss"] == pytest.approx(loss, rel=1e-5)
    assert "top1, tta_flip" in flipped.log_file.read_text() and "tta_flip" not in plain.log_file.read_text()


def test_the_test_set_may_be_watched_and_then_nothing_is_chosen_by_it(tiny, trained):
    run_dir = trained(tiny("data.validation=test"))
    result = run_dir.load_result()
    assert result["evaluated"] == "last" and not run_dir.checkpoint("best").exists()
    assert read_history(run_dir.history_file)[-1]["val_top1"] == result["metrics"]["test"]["top1"]
    assert result["metrics"]["val"] == result["metrics"]["test"]
    assert "validation" not in run_dir.log_file.read_text().rpartition("evaluating on")[2]  # no row of its own


def test_without_validation_the_last_checkpoint_is_evaluated(tiny, trained):
    run_dir = trained(tiny("data.validation=none"))
    result = run_dir.load_result()
    assert (result["evaluated"], result["metrics"]["val"], result["data"]["train_images"]) == ("last", None, 200)
    assert [row["val_loss"] for row in read_history(run_dir.history_file)] == [None, None]


def test_best_is_the_epoch_of_the_highest_validation_accuracy(tiny, trained):
    run_dir = trained(tiny("trainer.epochs=5", "optimizer.lr=0.01"))
    rows, result = read_history(run_dir.history_file), run_dir.load_result()
    best = max(rows, key=lambda row: row["val_top1"])
    assert (result["evaluated"], result["evaluated_epoch"]) == ("best", best["epoch"])
    assert result["metrics"]["val"]["top1"] == best["val_top1"]
    assert [row["epoch"] for row in rows if row["clean_train_top1"] is not None] == [best["epoch"]]
    assert best["clean_train_top1"] == result["metrics"]["train"]["top1"]


def test_a_pause_leaves_the_test_set_alone(tiny, trainer_of):
    trainer = trainer_of(tiny())
    trainer.run_dir.path.mkdir()
    trainer.fit(pause_at=1)
    object.__setattr__(trainer.splits, "test", None)
    evaluation = evaluate_at_pause(trainer)
    assert evaluation.metrics.keys() == {"val"} and evaluation.logits == {}
    assert (evaluation.checkpoint, evaluation.epoch, evaluation.step) == ("best", 1, 4)
    assert evaluation.as_result()["metrics"]["test"] is None


def test_flipped_images_count_twice(splits):
    assert num_evaluated(splits, tta_flip=False) == 300
    assert num_evaluated(splits, tta_flip=True) == 500  # training images are not flipped


def test_a_run_without_validation_evaluates_two_parts(splits):
    parts = {"train": splits.train, "validation": None, "test": LabeledImages(torch.zeros(5), torch.zeros(5))}
    assert num_evaluated(type("Parts", (), parts), tta_flip=False) == 105


def test_a_table_has_a_row_for_each_part(splits):
    some = Metrics(loss=1.5, top1=0.25, top5=0.5, superclass=None, ece=0.125, images=1200)
    lines = metrics_table({"test": some, "train": some}).splitlines()
    assert lines[0].split() == ["images", "number", "loss", "top1", "top5", "superclass", "ECE"]
    assert [line.split("  ")[0].strip() for line in lines[2:]] == ["training, no augmentation", "test"]
    assert lines[3].split() == ["test", "1,200", "1.5000", "25.00", "%", "50.00", "%", "-", "12.50", "%"]
    flipped = metrics_table({"train": some, "test": some}, {"test": some}).splitlines()
    assert flipped[0].endswith("top1, tta_flip") and flipped[2].endswith("-") and flipped[3].endswith("25.00 %")
