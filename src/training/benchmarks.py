"""What `src.benchmark` compares, in turns in one process."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torchvision.transforms import v2

from src.commandline import CONFIGS
from src.config import build
from src.data.images import LabelledImages
from src.data.seeds import make_generator
from src.results.run_folder import RunFolder
from src.tables import percent
from src.training.contenders import bare_epoch, dataloader_epoch, loop_epoch
from src.training.device import Placement, choose_placement
from src.training.prepare import load_data, make_preprocess
from src.training.run import execute

PICTURES = 50_000  # at most, in one round: on a GPU a few seconds of the bare step are more than a DataLoader can do


@dataclass(frozen=True)
class Comparison:
    """Two sides, each in `unit`, on the device `on`; `rounds` holds (ours, other), measured one after the other."""

    what: str
    unit: str
    on: str
    rounds: list[tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """All of it, with the medians of each side and of ours / other."""
        ours, other = (statistics.median(side) for side in zip(*self.rounds, strict=True))
        ratio = statistics.median(mine / its for mine, its in self.rounds)
        return asdict(self) | {"ours": ours, "other": other, "ratio": ratio}

    def cells(self) -> tuple[str, ...]:
        """What it is, ours, other, unit, ours / other, device."""
        own = self.as_dict()
        return self.what, f"{own['ours']:,.1f}", f"{own['other']:,.1f}", self.unit, f"{own['ratio']:.3f}", self.on


@dataclass(frozen=True)
class Training:
    """Whole runs of one experiment: minutes of training, and accuracy on the test set, of each seed."""

    what: str
    on: str
    seeds: list[int]
    minutes: list[float]
    test_top1: list[float]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """As those of a comparison: the median of the minutes stands for ours, there is no other."""
        reached = ", ".join(percent(top1) for top1 in self.test_top1)
        return f"{self.what}: test {reached}", f"{statistics.median(self.minutes):,.2f}", "-", "minutes", "-", self.on


def compare_loop(config: DictConfig, experiment: str) -> Comparison:
    """Images per second of the real `train_epoch`, and of forward, backward and update on one batch that lies ready.

    Both take images of full size. So do those of `compare_pipeline`.
    """
    return _compare_epochs(config, f"training loop / bare step, {experiment}", bare_epoch)


def compare_pipeline(config: DictConfig, experiment: str) -> Comparison:
    """Images per second of the real `train_epoch`, and of the loop that most CIFAR repositories have.

    Theirs, as in weiaicunzai/pytorch-cifar100: pictures one by one through torchvision's crop, flip, rotation and
    normalisation in the workers of a DataLoader, four or as many as there are cores; then the same step, in PyTorch's
    default memory layout and precision, and its loss read at once.
    """
    return _compare_epochs(config, f"training loop / torchvision and DataLoader, {experiment}", dataloader_epoch)


def _compare_epochs(
    config: DictConfig,
    what: str,
    other: Callable[[DictConfig, LabelledImages, Placement], Callable[[], None]],
) -> Comparison:
    """Epochs of ours and of `other`, in turns, over as many images as take the bare step `config.seconds`."""
    config = config.copy()
    config.trainer.sizes, config.trainer.checkpoint_minutes = [], math.inf
    placement = choose_placement(config.trainer)
    size = config.data.batch_size
    train = load_data(config).train
    probe = bare_epoch(config, train[torch.arange(3 * size) % len(train)], placement)
    probe()  # warms up
    batches = round(config.seconds / (_timed(probe, placement) / 3))
    batches = max(3, min(batches, PICTURES // size))
    train = train[torch.arange(batches * size) % len(train)]
    sides = loop_epoch(config, train, placement), other(config, train, placement)
    for side in sides:
        side()
    speeds = (partial(_speed, side, batches * size, placement) for side in sides)
    return Comparison(what, "images/s", placement.description, in_turns(*speeds, config.rounds))


def compare_augmentation(config: DictConfig, name: str) -> Comparison:
    """Microseconds per image: draws, conversion and augmentation of a batch, and torchvision on each of its images.

    On a CPU both have one thread. torchvision's side is on the CPU, where its workers are.
    """
    config = config.copy()
    config.augmentation = OmegaConf.load(CONFIGS / "augmentation" / f"{name}.yaml")
    augmentation = build(config, "augmentation")
    placement = choose_placement(config.trainer)
    pictures = load_data(config).train.images[: config.data.batch_size]
    images = pictures.to(placement.device)
    preprocess = make_preprocess(config, placement)
    transform = _per_image(name, pictures.shape[-1])

    def batch() -> None:
        generator = make_generator(0, device=placement.device)
        augmentation(preprocess.pixels(images), augmentation.draw(generator, len(images)))

    def one_by_one() -> None:
        for picture in pictures:
            transform(picture)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    costs = (partial(_cost, side, len(images), config.seconds / 5, placement) for side in (batch, one_by_one))
    rounds = in_turns(*costs, config.rounds)
    torch.set_num_threads(threads)
    return Comparison(f"augmentation, batch / torchvision, {name}", "us/image", placement.description, rounds)


def _per_image(name: str, size: int) -> Callable[[Tensor], Tensor]:
    """What torchvision does image by image where the augmentation `name` does it for the batch."""
    if name == "affine":
        turn = v2.RandomAffine(degrees=15, translate=(0.1, 0.1), interpolation=v2.InterpolationMode.BILINEAR)
        return v2.Compose([turn, v2.RandomHorizontalFlip()])
    return v2.Compose([v2.RandomCrop(size, padding=4), v2.RandomHorizontalFlip()])


def measure_trainings(configs: Sequence[DictConfig], experiment: str) -> Training:
    """Trains one run after the other, their folders thrown away."""
    results = [_result_of_run(config) for config in configs]
    return Training(
        f"whole training, {experiment}",
        results[0]["environment"]["device"],
        [config.seed for config in configs],
        [result["seconds"] / 60 for result in results],
        [result["metrics"]["test"]["top1"] for result in results],
    )


def _result_of_run(config: DictConfig) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder(Path(path) / "run")
        folder.path.mkdir()
        execute(config, folder, quiet=True)
        return folder.load_result()


def in_turns(ours: Callable[[], float], other: Callable[[], float], rounds: int) -> list[tuple[float, float]]:
    """`rounds` measurements of both, every other with the other side first: a slowing machine favours neither."""
    measured = []
    for number in range(rounds):
        if number % 2:
            second, first = other(), ours()
        else:
            first, second = ours(), other()
        measured.append((first, second))
    return measured


def _speed(side: Callable[[], None], images: int, placement: Placement) -> float:
    """Images per second of a call that takes `images`."""
    return images / _timed(side, placement)


def _cost(side: Callable[[], None], images: int, seconds: float, placement: Placement) -> float:
    """Microseconds per image of calls that take `images` each, over about `seconds`."""
    side()
    calls = max(1, round(seconds / _timed(side, placement)))

    def all_calls() -> None:
        for _ in range(calls):
            side()

    return _timed(all_calls, placement) / calls / images * 1e6


def _timed(side: Callable[[], None], placement: Placement) -> float:
    """Seconds, from a device at rest to a device at rest."""
    _rest(placement)
    started = time.perf_counter()
    side()
    _rest(placement)
    return time.perf_counter() - started


def _rest(placement: Placement) -> None:
    if placement.device.type == "cuda":
        torch.cuda.synchronize()
