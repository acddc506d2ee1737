from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensorboard.summary.writer.event_file_writer import AtomicCounter

from src.data.loader import BatchPlan
from src.loggers.logger import Row, RunStart
from src.parsing import parse_config
from tests.conftest import compose_fast, create_in


@pytest.fixture(autouse=True)
def event_files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard reads a run's files by name: second, process, number; with 10 after 9 within one second wrongly."""
    monkeypatch.setattr("tensorboard.summary.writer.event_file_writer._global_uid", AtomicCounter(1000))


@pytest.fixture
def started(tmp_path) -> Callable[..., RunStart]:
    """started("trainer.epochs=4", num_batches=5) -> what a logger of a new run is told."""

    def build(
        *overrides: str, name: str = "run", overridden: tuple[str, ...] = (), num_batches: int = 5, **facts: Any
    ) -> RunStart:
        config = parse_config(compose_fast(*overrides), overrides)
        run_dir = create_in(tmp_path / name, config, model="deep", data="synthetic")
        run_dir.update_result(overridden=list(overridden))
        known = {
            "summary": "layers", "history": [], "val_share": 0.0, "time_share": lambda done: done,
            "sample_images": torch.rand(4, 3, 8, 8),
            "plan": BatchPlan(num_images=2 * num_batches, batch_size=2, seed=0, epochs=config.trainer.epochs),
        }  # fmt: skip
        return RunStart(run_dir=run_dir, config=config, **(known | facts))

    return build


def row(epoch: int, **numbers: float | None) -> Row:
    some = {"train_loss": 4.0, "train_top1": 0.1, "val_loss": 2.0, "val_top1": 0.2, "lr": 1e-3}
    return {"epoch": epoch, **some, "images_per_second": 2400.0, "seconds": 60.0 * epoch, **numbers}
