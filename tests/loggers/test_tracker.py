import importlib.util

import pytest

from src.errors import UserError
from src.loggers.tracker import epoch_numbers, final_numbers, load_id, require_package, save_id, sweep_of
from src.metrics import Metrics
from tests.loggers.conftest import row


def test_an_id_is_continued_by_a_run_that_continues(started):
    run = started()
    assert load_id(run, "wandb") is None
    save_id(run, "wandb", "abc")
    assert (run.run_dir.path / "wandb_run_id.txt").read_text() == "abc\n"
    assert load_id(run, "wandb") is None  # a run that begins anew in the folder of one that failed
    assert load_id(started(history=[row(1)]), "wandb") == "abc"
    assert load_id(started(history=[row(1)]), "mlflow") is None
    checkpoint = run.run_dir.checkpoint("last")  # within the first epoch
    checkpoint.parent.mkdir()
    checkpoint.touch()
    assert load_id(run, "wandb") == "abc"


def test_epochs_have_the_names_of_tensorboard(started):
    numbers = epoch_numbers(row(3, val_loss=None, val_top1=None))
    assert numbers == {
        "accuracy/train": 0.1, "loss/train": 4.0, "lr": 1e-3, "performance/images_per_second": 2400.0,
    }  # fmt: skip
    assert epoch_numbers(row(3))["accuracy/val"] == 0.2


def test_final_numbers_leave_out_what_was_not_measured():
    metrics = {"test": Metrics(loss=2.5, top1=0.5, top5=0.75, superclass=None, ece=0.1, images=10)}
    assert final_numbers(metrics) == {"test/accuracy": 0.5, "test/top5": 0.75, "test/loss": 2.5, "test/ece": 0.1}


def test_jobs_of_a_sweep_are_grouped_by_its_folder(started):
    run = started()
    assert sweep_of(run.run_dir) is None
    run.run_dir.update_result(swept=["seed"])
    assert sweep_of(run.run_dir) == run.run_dir.path.parent.name


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'logger=wandb needs wandb: pip install -e "\.\[wandb\]"'):
        require_package("wandb")
