"""What a run leaves in its folder, however it ends."""

import copy

import pytest
import torch
from PIL import Image
from torch import nn

from src import plots
from src.errors import UserError
from src.loggers.history_csv import read_history
from src.run_dir import RunDir
from src.training.run import run
from tests.conftest import create_in
from tests.training.conftest import SPY

FIGURES = {
    *("samples.png", "accuracy.png", "loss.png", "confusion_matrix.png", "confused_pairs.png", "mistakes.png"),
    "reliability.png",
}


def test_a_run_learns_and_leaves_the_promised_files(figures, small, trained):
    normalized = ("data.normalize=true", "data.mean=[0.5,0.5,0.5]", "data.std=[0.2,0.2,0.2]")
    run_dir = trained(small("trainer.epochs=4", "optimizer.lr=0.005", *normalized))
    rows = read_history(run_dir.history_file)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[3]["train_loss"] < rows[0]["train_loss"] - 0.05
    result = run_dir.load_result()
    assert (result["status"], result["stopped_by"], result["epochs"], result["steps"]) == ("completed", "epochs", 4, 32)
    assert set(result["metrics"]["test"]) == {"loss", "top1", "top5", "superclass", "ece", "images"}
    assert (result["data"]["train_images"], result["data"]["validation_images"]) == (500, 100)
    for path in ("config.yaml", "train.log", "summary.txt", "per_class.csv", "test_logits.pt", "checkpoints/best.pt"):
        assert (run_dir.path / path).is_file()
    assert not (run_dir.path / "checkpoints" / "previous.pt").exists()
    assert {path.name for path in run_dir.figures_dir.iterdir()} == FIGURES
    log = run_dir.log_file.read_text()
    assert "500 training images, 100 held out for validation, 200 test images; 100 classes" in log
    assert f"python -m src.evaluate run={run_dir.path}" in log


def test_result_json_says_what_the_run_was(plain):
    result = plain.load_result()
    assert (result["format"], result["seed"], result["reason"]) == (1, 0, None)
    assert result["choices"] == {"model": "baseline", "data": "synthetic", "augmentation": "off"}
    assert result["parameters"] > 0 and result["multiply_adds"] > 0 and result["running_statistics"] == 0
    assert result["data"] == {
        "source": "src.data.synthetic.synthetic",
        "validation": "holdout",
        "train_images": 100,
        "validation_images": 100,
        "test_images": 100,
        "seen_by_base": 0,
        "fingerprint": result["data"]["fingerprint"],
    }
    assert result["environment"]["torch"] == torch.__version__
    assert result["best_val_top1"] == result["metrics"]["val"]["top1"]


def test_a_config_is_only_read(tiny, plain, tmp_path):
    config = tiny(f"init.run={plain.path}", "trainer.epochs=1", "data.num_classes=null", "trainer.patience=1")
    before = copy.deepcopy(config)
    run_dir = create_in(tmp_path / "run", config)
    saved = run_dir.config_file.read_text()
    run(config, run_dir, pause_at=1)
    assert config == before and run_dir.config_file.read_text() == saved


def test_a_paused_run_has_a_rung_and_continues(tiny, plain, tmp_path):
    run_dir = create_in(tmp_path / "run", tiny())
    run(tiny(), run_dir, pause_at=1)
    result = run_dir.load_result()
    assert (result["status"], result["stopped_by"], result["epochs"]) == ("paused", "pause", 1)
    assert result["rungs"]["1"]["metrics"]["val"]["images"] == 100 and result["metrics"]["test"] is None
    assert "paused after epoch 1; to continue:\n  python -m src.train resume=" in run_dir.log_file.read_text()
    run(run_dir.load_config(), run_dir)
    result = run_dir.load_result()
    assert (result["status"], result["stopped_by"], list(result["rungs"])) == ("completed", "epochs", ["1"])
    assert result["metrics"] == plain.load_result()["metrics"]
    assert "continuing after epoch 1, batch 0" in run_dir.log_file.read_text()


def test_validation_images_that_the_base_run_trained_on_are_counted(tiny, plain, trained):
    over = ("data.validation=fold", "data.folds=2", "data.split_seed=1", "trainer.epochs=1")
    result = trained(tiny(f"init.run={plain.path}", *over)).load_result()
    assert 0 < result["data"]["seen_by_base"] < result["data"]["validation_images"]


# ------------------------------------------------------------------------------------------------------- loggers


def test_loggers_are_told_of_a_run_in_order(tiny, trained, spy, monkeypatch):
    monkeypatch.setattr("src.training.clock.LOG_SECONDS", 0.0)
    run_dir = trained(tiny(SPY))
    epoch = ["on_log"] * 4 + ["on_epoch_end"]
    assert [method for method, _ in spy.calls] == ["on_run_start", *epoch, *epoch, "on_run_end", "close"]
    told = dict(spy.calls)  # the last of each
    (start,) = told["on_run_start"]
    assert (start.run_dir, len(start.plan), start.val_share) == (run_dir, 4, 1 / 3)
    assert start.sample_images.shape == (25, 3, 16, 16) and 0 <= start.sample_images.min() < 1
    assert "trainable parameters" in start.summary
    epoch, batch, loss, top1 = told["on_log"]
    assert (epoch, batch) == (1, 4) and loss > 0 and 0 <= top1 <= 1
    history, _ = told["on_epoch_end"]
    assert [row["epoch"] for row in history] == [1, 2] and (loss, top1) == (
        history[1]["train_loss"],
        history[1]["train_top1"],
    )
    history, metrics, figures = told["on_run_end"]
    assert metrics["test"].top1 == run_dir.load_result()["metrics"]["test"]["top1"] and figures == {}
    assert [row["clean_train_top1"] is not None for row in history].count(True) == 1


def test_a_training_is_one_run_of_tensorboard(plain):
    assert {path.parent for path in plain.path.rglob("*tfevents*")} == {plain.path}


# ----------------------------------------------------------------------------------------- a single image left over


@pytest.mark.slow
def test_no_single_image_is_left_over_for_the_batch_norm_of_resnet(config_of, trained):
    """ResNet-18 has maps of 1x1 pixels at 32 pixels: batch norm cannot train on one image there."""
    images = ("data=synthetic", "data.source.train_images=200", "data.source.test_images=100", "data.holdout=1")
    short = ("data.limit=65", "data.batch_size=64", "trainer.epochs=1", "optimizer=sgd", "logger=quiet")
    run_dir = trained(
        config_of("model=resnet18", "model._target_=torchvision.models.resnet18", "~model.name", *images, *short)
    )
    assert run_dir.load_result()["status"] == "completed" and run_dir.load_result()["steps"] == 1
    assert "the last batch of an epoch has 65 images: a single one would be left over" in run_dir.log_file.read_text()


class OneByOne(nn.Module):
    """Batch norm over a map of 1x1 pixels."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, num_classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


@pytest.mark.parametrize(("limit", "steps", "joined"), [(65, 1, True), (66, 2, False)])
def test_batch_norm_trains_on_whatever_is_left_over(own_model, trained, limit, steps, joined):
    run_dir = trained(own_model("tests.training.test_run.OneByOne", "data.batch_size=64", f"data.limit={limit}"))
    result, log = run_dir.load_result(), run_dir.log_file.read_text()
    assert (result["status"], result["steps"]) == ("completed", steps)
    assert ("the last batch of an epoch has 65 images: a single one would be left over" in log) is joined


@pytest.mark.parametrize("single", ["data.limit=1", "data.batch_size=1"])
def test_a_single_training_image_for_batch_norm_is_explained(own_model, trained, tmp_path, single):
    with pytest.raises(UserError, match=r"batch norm cannot train on a single image: raise data\.batch_size"):
        trained(own_model("tests.training.test_run.OneByOne", single))
    run_dir = RunDir(tmp_path / "run")
    assert run_dir.load_result()["status"] == "failed"
    assert "Traceback" not in run_dir.log_file.read_text()


# ---------------------------------------------------------------------------------- what follows a completed result


NAMES = ("$$", "$x^2", "猫", "кошка", "a_b")


@pytest.fixture
def named_by_users(tmp_path):
    """The root of an image folder with classes of these names."""
    for part in ("train", "test"):
        for number, name in enumerate(NAMES):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for index in range(3):
                Image.new("RGB", (8, 8), (number * 50, index * 100, 0)).save(folder / f"{index}.png")
    return tmp_path / "images"


@pytest.mark.slow
def test_names_of_classes_are_drawn_literally(figures, config_of, named_by_users, trained):
    images = ("data=folder", f"data.root={named_by_users}", "data.image_size=8", "data.holdout=1")
    net = ("model.width=0.1", "model.dense=[]", "trainer.epochs=1", "logger=quiet")
    run_dir = trained(config_of(*images, *net))
    assert run_dir.load_result()["status"] == "completed"
    assert not (run_dir.path / "checkpoints" / "previous.pt").exists()
    assert {path.name for path in run_dir.figures_dir.iterdir()} == FIGURES
    log = run_dir.log_file.read_text()
    assert "Glyph" not in log and "could not be drawn" not in log and log.count("fonts lack") <= 1
    assert all(name in run_dir.per_class_file.read_text() for name in NAMES)


@pytest.mark.slow
def test_a_figure_that_fails_is_one_line_and_the_result_was_complete_before(
    figures, tiny, trained, tmp_path, monkeypatch
):
    results = []

    def fail(*_):
        results.append(RunDir(tmp_path / "run").load_result())
        raise ValueError("no such\nfont")

    for name in ("plot_samples", "plot_confusion", "plot_curves"):
        monkeypatch.setattr(plots, name, fail)
    run_dir = trained(tiny("trainer.epochs=1"))
    result = run_dir.load_result()
    assert len(results) == 4 and results[0]["metrics"] == result["metrics"]
    assert (result["status"], result["stopped_by"], result["metrics"]["test"]["images"]) == ("completed", "epochs", 100)
    failed = [line for line in run_dir.log_file.read_text().splitlines() if "could not be drawn" in line]
    assert [line.partition(" could")[2] for line in failed] == [" not be drawn: no such font"] * 4
    assert failed[0].startswith(f"{run_dir.figures_dir}/samples.png")
