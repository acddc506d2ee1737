"""Tests compose the project's own configs and train on small sets of drawn images: no network, no data set."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: small networks gain nothing, busy machines lose a lot

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from src.commandline import CONFIGS, register_resolvers
from src.results.history import write_history
from src.results.records import Record, read_record
from src.results.run_folder import RunFolder
from src.schemas import GROUPS, register_schemas

ROOT = Path(__file__).resolve().parent.parent

# 600 training images (500 after the holdout), 200 test images, a network of 30,000 parameters: half a second an epoch.
SMALL = [
    "data=synthetic",
    "data.source.train_images=600",
    "data.source.test_images=200",
    "data.holdout=1",
    "data.batch_size=64",
    "model.width=0.25",
    "model.dense=[32]",
    "trainer.epochs=2",
]


def pytest_configure() -> None:
    register_schemas()
    register_resolvers()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(skip)


@pytest.fixture(scope="session")
def composed() -> Callable[..., DictConfig]:
    """composed("model=deep", name="train") -> the config that the command line would give."""

    def build(*overrides: str, name: str = "train") -> DictConfig:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return compose(name, overrides=list(overrides))

    return build


@pytest.fixture(scope="session")
def small(composed: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """The same for a run of seconds."""
    return lambda *overrides: composed(*SMALL, *overrides)


@pytest.fixture
def trained(tmp_path: Path) -> Callable[[DictConfig, str], RunFolder]:
    """trained(config, "name") -> the folder of a run that has been trained to its end."""
    return lambda config, name="run": train_in(tmp_path / name, config)


def train_in(path: Path, config: DictConfig) -> RunFolder:
    from src.training.run import execute

    folder = RunFolder(path)
    with folder.locked():
        folder.require_free()
        folder.save_config(config)
        execute(config, folder)
    return folder


@pytest.fixture
def recorded(composed: Callable[..., DictConfig], tmp_path: Path) -> Callable[..., Record]:
    """recorded("model=deep", "seed=1", val=0.4, status="failed") -> the record of a run that never took place."""
    count = itertools.count()

    def record(
        *overrides: str,
        status: str = "completed",
        val: float | None = None,
        test: float | None = None,
        train: float | None = None,
        history: Sequence[float] = (),  # validation accuracy of each epoch
        named: Sequence[str] = (),  # settings that its command line named
        **result: Any,
    ) -> Record:
        config = composed(*overrides)
        chosen = [text.partition("=") for text in overrides]
        config.choices = {group: value for group, _, value in chosen if group in GROUPS}
        config.named = list(named)
        folder = RunFolder(tmp_path / "runs" / f"{next(count)}_run")
        folder.path.mkdir(parents=True)
        folder.save_config(config)
        tops = {"train": train, "val": val, "test": test}
        metrics = {part: None if top1 is None else {"top1": top1} for part, top1 in tops.items()}
        if history:
            result["epochs"] = len(history)
            write_history(
                folder.history, [{"epoch": n, "val_top1": v, "val_loss": 5 - v} for n, v in enumerate(history, 1)]
            )
        measured = {"train_images": config.data.limit or 50_000}
        folder.save_result({"status": status, "metrics": metrics, "seconds": 60.0, "data": measured,
                            "environment": {"device": "CPU"}, **result})  # fmt: skip
        return read_record(folder)

    return record


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """command("train", "seed=1", cwd=...) -> the finished process `python -m src.train seed=1`."""

    def run(name: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from src.{name} import main; main()"
        return subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=cwd, timeout=240
        )

    return run
