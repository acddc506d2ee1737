"""What `src.benchmark` compares: two sides that take turns in one process, or whole trainings."""

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.benchmark import set_torch_threads

from src.benchmarks.baselines import (
    MATRIX_SIZE,
    Baseline,
    bare_epoch,
    build_classifier,
    dataloader_epoch,
    loop_epoch,
    matrix_product,
    torchvision_transform,
)
from src.benchmarks.timing import images_per_second, in_turns, microseconds_per_image, time_call
from src.config import RunConfig
from src.data.rng import make_generator
from src.data.split import Splits
from src.formatting import percent
from src.models.summary import summarize
from src.run_dir import RunDir
from src.targets import build
from src.training.build import build_preprocess, load_splits
from src.training.device import Placement, choose_placement
from src.training.run import run

NEVER = 1e9  # minutes, epochs
MAX_IMAGES = 50_000  # in one round: a GPU's bare step takes more in a few seconds than a DataLoader can bring


@dataclass(frozen=True)
class Comparison:
    """Measurements of two sides."""

    what: str
    unit: str
    on: str  # the device
    rounds: list[tuple[float, float]]  # (cifarlab, other) in `unit`, measured one after the other

    def as_dict(self) -> dict[str, Any]:
        """The fields, with the medians of `cifarlab`, of `other` and of their `ratio` in each round."""
        own, other = map(statistics.median, zip(*self.rounds, strict=True))
        ratio = statistics.median(a / b for a, b in self.rounds)
        return asdict(self) | {"cifarlab": own, "other": other, "ratio": ratio}

    def cells(self) -> tuple[str, ...]:
        """The row of the table: what, cifarlab, other, unit, cifarlab / other, on."""
        row = self.as_dict()
        digits = 3 if self.unit == "TFLOP/s" else 1
        own, other = (f"{row[side]:,.{digits}f}" for side in ("cifarlab", "other"))
        return self.what, own, other, self.unit, f"{row['ratio']:.3f}", self.on


@dataclass(frozen=True)
class Training:
    """Whole runs of one experiment."""

    what: str
    on: str  # the device
    seeds: list[int]
    minutes: list[float]  # of training, for each seed
    test_top1: list[float]  # accuracy on the test set, for each seed

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """The row of the table: the median of the minutes as `cifarlab`; with several, of all but the first, the other.

        The first run of a process also chooses kernels and allocates memory.
        """
        reached = ", ".join(map(percent, self.test_top1))
        first, later = self.minutes[0], self.minutes[1:]
        minutes = statistics.median(later or [first])
        cells = (f"{minutes:,.2f}", f"{first:,.2f}", "minutes, first", f"{minutes / first:.3f}")
        return f"{self.what}: test {reached}", *(cells if later else (cells[0], "-", "minutes", "-")), self.on


def compare_loop(config: RunConfig, experiment: str, rounds: int, seconds: float) -> Comparison:
    """Images per second of `Trainer.train_epoch` and of the bare step; `seconds` of each side in each round."""
    return _compare_epochs(config, f"training loop / bare step, {experiment}", bare_epoch, rounds, seconds)


def compare_arithmetic(config: RunConfig, experiment: str, rounds: int, seconds: float) -> Comparison:
    """TFLOP/s of `Trainer.train_epoch` and of a large matrix product in the same precision: the limit of the device.

    A step takes about six operations for each multiply-add of the network: two forward, four backward.
    """
    config, placement, splits, num_images = _prepare_epochs(config, seconds)
    per_image = 6 * summarize(build_classifier(config, splits, placement).model, config.data.image_size).multiply_adds
    loop, product = loop_epoch(config, splits, placement), matrix_product(placement)
    for warm_up in (loop, product):
        warm_up()
    repeat = max(1, round(seconds / time_call(product, placement.device)))
    operations = repeat * 2 * MATRIX_SIZE**3

    def product_speed() -> float:
        return operations / 1e12 / time_call(lambda: [product() for _ in range(repeat)], placement.device)

    def loop_speed() -> float:
        return per_image * images_per_second(loop, num_images, placement.device) / 1e12

    what = f"training loop / matrix product, {experiment}"
    return Comparison(what, "TFLOP/s", placement.description, in_turns(loop_speed, product_speed, rounds))


def compare_pipeline(config: RunConfig, experiment: str, rounds: int, seconds: float) -> Comparison:
    """Images per second of `Trainer.train_epoch` and of the loop of most CIFAR repositories (`dataloader_epoch`)."""
    what = f"training loop / torchvision and DataLoader, {experiment}"
    return _compare_epochs(config, what, dataloader_epoch, rounds, seconds)


def _compare_epochs(config: RunConfig, what: str, baseline: Baseline, rounds: int, seconds: float) -> Comparison:
    """Epochs of both, at full size, on as many images as the bare step takes in `seconds`."""
    config, placement, splits, num_images = _prepare_epochs(config, seconds)
    sides = loop_epoch(config, splits, placement), baseline(config, splits, placement)
    for side in sides:
        side()
    speeds = (partial(images_per_second, side, num_images, placement.device) for side in sides)
    return Comparison(what, "images/s", placement.description, in_turns(*speeds, rounds))


def _prepare_epochs(config: RunConfig, seconds: float) -> tuple[RunConfig, Placement, Splits, int]:
    """The config of endless training at full size, where it computes, and as many images as take `seconds`."""
    endless = replace(config.trainer, progressive_resizing=[], checkpoint_minutes=NEVER, epochs=NEVER)
    config = replace(config, trainer=endless)
    placement = choose_placement(config.trainer)
    splits, size = load_splits(config), config.data.batch_size
    probe = bare_epoch(config, _with_images(splits, 3 * size), placement)
    probe()  # warms up
    num_batches = round(seconds / (time_call(probe, placement.device) / 3))
    num_images = max(3, min(num_batches, MAX_IMAGES // size)) * size
    return config, placement, _with_images(splits, num_images), num_images


def _with_images(splits: Splits, count: int) -> Splits:
    """The splits with `count` training images; they repeat where there are fewer."""
    places = torch.arange(count) % len(splits.train)
    return replace(splits, train=splits.train[places], train_indices=splits.train_indices[places])


def compare_augmentation(config: RunConfig, name: str, rounds: int, seconds: float) -> Comparison:
    """Microseconds per image of the augmentation of a whole batch, and of torchvision's on each of its images.

    The batch's time contains the random draws and the conversion to float. CPUs have one thread; torchvision's side is
    always on a CPU, like the workers that use it.
    """
    augmentation = build(config.augmentation, "augmentation")
    placement = choose_placement(config.trainer)
    pixels = load_splits(config).train.images[: config.data.batch_size]
    images = pixels.to(placement.device)
    to_float = build_preprocess(config, placement).to_float
    transform = torchvision_transform(name, pixels.shape[-1])

    def augment_batch() -> None:
        generator = make_generator(0, device=placement.device)
        augmentation(to_float(images), augmentation.draw(generator, len(images)))

    def augment_images() -> None:
        for image in pixels:
            transform(image)

    costs = (partial(microseconds_per_image, side, len(images), seconds) for side in (augment_batch, augment_images))
    measured = in_turns(*costs, rounds)
    with set_torch_threads(1):  # as while it was measured
        return Comparison(f"augmentation, batch / torchvision, {name}", "us/image", placement.description, measured)


def measure_trainings(configs: Sequence[RunConfig], experiment: str) -> Training:
    """Trains one run after the other, silently; their folders are deleted."""
    results = []
    for config in configs:
        config = replace(config, logger={})
        with tempfile.TemporaryDirectory() as path:
            run_dir = RunDir(Path(path) / "run")
            run_dir.create(config, choices={}, overridden=[])
            run(config, run_dir)
            results.append(run_dir.load_result())
    return Training(
        f"whole training, {experiment}",
        results[0]["environment"]["device"],
        [config.seed for config in configs],
        [result["seconds"] / 60 for result in results],
        [result["metrics"]["test"]["top1"] for result in results],
    )
