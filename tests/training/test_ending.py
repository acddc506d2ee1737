"""However a run ends, its folder says how."""

import os
import signal
from contextlib import suppress

import pytest
import torch
from torch import nn

from src.errors import UserError
from src.loggers.history_csv import HistoryCsvLogger
from src.loggers.tensorboard import TensorBoardLogger
from src.run_dir import RunDir
from src.training import saving
from src.training.run import run
from src.training.trainer import Trainer
from tests.conftest import create_in, train_in
from tests.training.conftest import SPY


def test_loggers_are_closed_however_a_run_ends_and_told_what_was_done_before(tiny, tmp_path, spy, monkeypatch):
    def end(_trainer):
        raise RuntimeError("power cut")

    run_dir = create_in(tmp_path / "run", tiny(SPY))
    run(tiny(SPY), run_dir, pause_at=1)
    assert [method for method, _ in spy.calls] == ["on_run_start", "on_epoch_end", "close"]
    spy.calls.clear()
    monkeypatch.setattr(Trainer, "train_epoch", end)
    with pytest.raises(RuntimeError, match="power cut"):
        run(tiny(SPY), run_dir)
    assert [method for method, _ in spy.calls] == ["on_run_start", "close"]
    assert [row["epoch"] for row in spy.calls[0][1][0].history] == [1]


@pytest.mark.parametrize(
    ("error", "status"), [(None, "completed"), (UserError("full"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_loggers_are_told_how_a_run_ended(tiny, tmp_path, spy, monkeypatch, error, status):
    def end(_trainer):
        raise error

    if error:
        monkeypatch.setattr(Trainer, "train_epoch", end)
    with suppress(UserError, KeyboardInterrupt):
        run(tiny("trainer.epochs=1", SPY), create_in(tmp_path / "run", tiny(SPY)))
    assert spy.calls[-1] == ("close", (status,))


def test_a_logger_that_fails_at_the_end_does_not_change_the_status(tiny, trained, spy, monkeypatch):
    def fail(*_):
        raise ValueError("no space\nleft")

    monkeypatch.setattr(TensorBoardLogger, "on_run_end", fail)
    monkeypatch.setattr(HistoryCsvLogger, "close", fail)
    run_dir = trained(tiny("trainer.epochs=1", SPY))
    assert run_dir.load_result()["status"] == "completed"
    log = run_dir.log_file.read_text()
    assert "TensorBoardLogger failed at the end of the run: no space left\n" in log and "HistoryCsvLogger failed" in log
    assert "on_run_end" in [method for method, _ in spy.calls]


def test_a_failure_after_the_result_is_complete_does_not_void_it(tiny, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("src.training.run.next_commands", fail)
    with pytest.raises(UserError, match="the disk reports an error"):
        train_in(tmp_path / "run", tiny("trainer.epochs=1"))
    result = RunDir(tmp_path / "run").load_result()
    assert (result["status"], result["reason"]) == ("completed", None) and result["metrics"]["test"]["images"] == 100


def test_a_result_names_every_command_and_keeps_its_start(tiny, tmp_path, monkeypatch):
    run_dir = create_in(tmp_path / "run", tiny())
    run(tiny(), run_dir, pause_at=1)
    first = run_dir.load_result()
    run(run_dir.load_config(), run_dir)
    second = run_dir.load_result()
    assert (len(first["commands"]), len(second["commands"])) == (1, 2)
    assert first["started"] == second["started"] and first["data"] == second["data"]


def test_a_run_that_continues_forgets_its_earlier_end(tiny, tmp_path, monkeypatch):
    """A search's candidate that fails after its rung must not keep the rung's accuracy as its result."""
    run_dir = create_in(tmp_path / "run", tiny())
    run(tiny(), run_dir, pause_at=1)
    rung = run_dir.load_result()
    assert rung["metrics"]["val"] and rung["stopped_by"] == "pause"

    def fail(_trainer):
        raise UserError("the loss is no longer a finite number.")

    monkeypatch.setattr(Trainer, "train_epoch", fail)
    with pytest.raises(UserError, match="finite"):
        run(tiny(), run_dir)
    result = run_dir.load_result()
    assert result["status"] == "failed" and result["rungs"] == rung["rungs"]
    assert [result[key] for key in ("metrics", "evaluated", "evaluated_epoch", "stopped_by")] == [None] * 4


def test_the_reason_of_a_failure_is_one_line(tiny, tmp_path, monkeypatch):
    def fail(_trainer):
        raise ValueError("sizes differ:\n  3\n  4")

    monkeypatch.setattr(Trainer, "train_epoch", fail)
    with pytest.raises(ValueError, match="sizes differ"):
        train_in(tmp_path / "run", tiny())
    assert RunDir(tmp_path / "run").load_result()["reason"] == "ValueError: sizes differ: 3 4"


def test_a_second_ctrl_c_leaves_an_interrupted_run(as_in_a_terminal, tiny, tmp_path, monkeypatch):
    def twice(self):
        os.kill(os.getpid(), signal.SIGINT)
        assert self.stop.signal_number == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)

    run_dir = create_in(tmp_path / "run", tiny())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(saving, "log_save_or_stop", twice)
        run(tiny(), run_dir)
    assert run_dir.load_result()["status"] == "interrupted"
    log = run_dir.log_file.read_text()
    assert "interrupted, the last checkpoint is saved; continue with:\n  python -m src.train resume=" in log
    run(run_dir.load_config(), run_dir)
    assert run_dir.load_result()["status"] == "completed"


@pytest.mark.parametrize("ending", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_an_ending_that_is_no_exception_leaves_an_interrupted_run(tiny, tmp_path, monkeypatch, ending):
    def end(_trainer):
        raise ending

    monkeypatch.setattr(saving, "log_save_or_stop", end)
    with pytest.raises(type(ending)):
        train_in(tmp_path / "run", tiny())
    assert RunDir(tmp_path / "run").load_result()["status"] == "interrupted"


def test_an_interruption_of_the_figures_leaves_the_numbers_and_a_run_that_resumes(tiny, tmp_path, monkeypatch):
    def end(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("src.training.run.save_figures", end)
        train_in(tmp_path / "run", tiny("trainer.epochs=1"))
    run_dir = RunDir(tmp_path / "run")
    assert (
        run_dir.load_result()["status"] == "interrupted" and run_dir.load_result()["metrics"]["test"]["images"] == 100
    )
    run(run_dir.load_config(), run_dir)
    assert run_dir.load_result()["status"] == "completed"


class OutOfMemory(nn.Module):
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(1, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise self.error


class NoKernel(OutOfMemory):
    error = torch.AcceleratorError("CUDA error: no kernel image is available\nCompile with TORCH_USE_CUDA_DSA")


class OutOfMemoryAtOnce(nn.Module):
    def __init__(self, num_classes: int) -> None:
        raise OutOfMemory.error


class NoKernelAtOnce(nn.Module):
    def __init__(self, num_classes: int) -> None:
        raise NoKernel.error


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("OutOfMemory", r"out of GPU memory with batches of 128: halve data\.batch_size and double trainer\.grad_acc"),
        ("OutOfMemoryAtOnce", r"out of GPU memory with batches of 128"),
        ("NoKernel", r"the GPU failed \(CUDA error: no kernel image is available\): check that this PyTorch"),
        ("NoKernelAtOnce", r"the GPU failed \(CUDA error: no kernel image is available\)"),
    ],
)
def test_a_failure_of_the_device_is_not_one_of_the_settings(own_model, trained, tmp_path, model, sentence):
    with pytest.raises(UserError, match=sentence) as failure:
        trained(own_model(f"{__name__}.{model}"))
    result = RunDir(tmp_path / "run").load_result()
    assert result["status"] == "failed" and result["reason"] == str(failure.value)
    assert "refuses its settings" not in result["reason"]


def test_a_setting_that_is_refused_after_the_loggers_were_built_is_told(tiny, trained, tmp_path):
    with pytest.raises(UserError, match=r"optimizer \(torch\.optim\.Adam\) refuses its settings: Invalid learning"):
        trained(tiny("logger=default", "optimizer.lr=-1"))
    assert RunDir(tmp_path / "run").load_result()["status"] == "failed"
