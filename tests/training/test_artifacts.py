import csv

import pytest
import torch
from PIL import Image

from src import plots
from src.loggers.history_csv import read_history
from src.metrics import measure
from src.run_dir import RunDir
from src.training.artifacts import save_figures, save_predictions_of
from src.training.build import load_splits
from src.training.final_eval import Calibration, Evaluation

OTHERS = ["confusion_matrix", "confused_pairs", "mistakes", "reliability"]
PLOTS = ["plot_confusion", "plot_confused_pairs", "plot_mistakes", "plot_reliability"]


@pytest.fixture(scope="module")
def splits(plain):
    return load_splits(plain.load_config())


@pytest.fixture(scope="module")
def logits(splits):
    """Right for two of three images."""
    labels = torch.where(torch.arange(100) % 3 == 0, (splits.test.labels + 1) % 100, splits.test.labels)
    return 5 * torch.nn.functional.one_hot(labels, 100).float()


@pytest.fixture
def evaluation(splits, logits):
    metrics = measure(logits, splits.test.labels, splits.classes)
    parts = {"test": logits, "val": torch.zeros(len(splits.validation), 100)}
    return Evaluation("best", 1, 1, True, {"test": metrics}, {}, parts, Calibration(2.0, metrics))


@pytest.fixture
def run_dir(tmp_path):
    return RunDir(tmp_path)


def test_predictions_are_saved_with_labels_and_names(run_dir, evaluation, logits, splits):
    save_predictions_of(run_dir, evaluation, splits)
    saved = torch.load(run_dir.test_logits_file, weights_only=True)
    assert torch.equal(saved["logits"], logits) and torch.equal(saved["labels"], splits.test.labels)
    assert saved["classes"]["names"] == splits.classes.names
    validation = torch.load(run_dir.val_logits_file, weights_only=True)
    assert torch.equal(validation["labels"], splits.validation.labels)
    rows = list(csv.DictReader(run_dir.per_class_file.open()))
    assert len(rows) == 100
    recalls = [float(row["recall"]) for row in rows]
    assert recalls == sorted(recalls) and sum(recalls) == 66  # hardest class first


def test_pictures_are_drawn_by_name(run_dir, plain, evaluation, splits, monkeypatch):
    saved, genuine = [], plots.save
    monkeypatch.setattr(
        plots, "save", lambda figure, path: saved.append(path) or path.name != "loss.png" or genuine(figure, path)
    )
    figures = save_figures(run_dir, read_history(plain.history_file), splits, evaluation, watches_test=False)
    assert list(figures) == [
        *("samples", "confusion_matrix", "confused_pairs", "mistakes", "reliability"),
        "accuracy",
        "loss",
    ]
    assert saved == [run_dir.figures_dir / f"{name}.png" for name in figures]
    assert Image.open(saved[-1]).width > 300
    legend = [text.get_text() for text in figures["loss"].axes[0].get_legend().get_texts()]
    assert legend == ["training, as trained", "validation"]


def test_a_picture_that_fails_is_left_out_and_no_epochs_have_no_curves(run_dir, evaluation, splits, monkeypatch):
    saved = []
    monkeypatch.setattr(plots, "save", lambda figure, path: saved.append(path.name))
    monkeypatch.setattr(plots, "plot_samples", lambda *_: 1 / 0)
    assert list(save_figures(run_dir, [], splits, evaluation, watches_test=True)) == OTHERS
    assert saved == [f"{name}.png" for name in OTHERS]


def test_curves_say_that_the_test_set_was_watched(run_dir, plain, evaluation, splits, monkeypatch):
    watched = []
    for name in ("save", "plot_samples", *PLOTS):
        monkeypatch.setattr(plots, name, lambda *_: None)
    monkeypatch.setattr(plots, "plot_curves", lambda *arguments: watched.append(arguments[1:]))
    save_figures(run_dir, read_history(plain.history_file), splits, evaluation, watches_test=True)
    assert watched == [("top1", "accuracy", "test set"), ("loss", "loss", "test set")]
