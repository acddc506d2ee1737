"""Runs that cost next to nothing, for tests of what happens around them: tiny images, a tiny network, no pictures."""

import gc
import json
import logging
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hydra._internal.hydra import Hydra
from matplotlib import pyplot

from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.data.rng import make_generator
from src.loggers.logger import Logger, RunStart
from tests.conftest import process_environment

# 200 training images (150 after the holdout), 100 test images, 10 classes; a network of 5,000 parameters.
QUICK = [
    "data=synthetic",
    "data.source._target_=tests.quick.draw_images",
    "data.source.train_images=200",
    "data.source.test_images=100",
    "data.image_size=8",
    "data.num_classes=10",
    "data.holdout=5",
    "data.batch_size=64",
    "model.blocks=[[8]]",
    "model.dense=[32]",
    "trainer.epochs=2",
    "~logger.tensorboard",
]


def draw_images(train_images: int, test_images: int, image_size: int, seed: int) -> ImageDataset:
    """Noise around a pattern for each of 10 classes."""
    generator = make_generator(seed)
    patterns = 255 * torch.rand(10, 3, image_size, image_size, generator=generator)

    def draw(count: int) -> LabeledImages:
        labels = torch.arange(count) % 10
        noise = 80 * torch.randn(count, 3, image_size, image_size, generator=generator)
        return LabeledImages((patterns[labels] + noise).clamp(0, 255).to(torch.uint8), labels)

    classes = Classes.from_groups({"low": list("abcde"), "high": list("fghij")})
    return ImageDataset(draw(train_images), draw(test_images), classes)


class ResourceLogger(Logger):
    """Writes resources.json to the run's folder: what this process holds at the start of the run."""

    def on_run_start(self, run: RunStart) -> None:
        gc.collect()
        loggers = [logging.root, *logging.root.manager.loggerDict.values()]
        held = {
            "descriptors": len(list(Path("/proc/self/fd").iterdir())),
            "threads": threading.active_count(),
            "children": len(multiprocessing.active_children()),
            "log handlers": sum(len(getattr(logger, "handlers", [])) for logger in loggers),
            "figures of pyplot": len(pyplot.get_fignums()),
            "objects": len(gc.get_objects()),
        }
        (run.run_dir.path / "resources.json").write_text(json.dumps(held))


FIND_MODE = Hydra.get_mode


@contextmanager
def train_processes(place: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """start("seed=1") starts `python -m src.train seed=1` in `place`; at the end no such process is left."""
    processes = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "src.train", *QUICK, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=place, env=process_environment(),
        )  # fmt: skip
        processes.append(process)
        return process

    try:
        yield start
    finally:
        for process in processes:
            process.terminate()  # a sweep passes it on to its jobs
            process.wait(timeout=60)


@contextmanager
def quick_commands() -> Iterator[None]:
    """Commands in this process draw no pictures, and compose their config once, without a look for hydra.mode."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.training.run.save_figures", lambda *_: {})
        patch.setattr(Hydra, "get_mode", lambda *_, **__: None)
        patch.setattr("src.cli.register_schemas", lambda: None)  # done once for all tests
        yield
