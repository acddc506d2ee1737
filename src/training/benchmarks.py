"""The two sides of each comparison of `src.benchmark`."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from src.commandline import CONFIGS
from src.config import build, typed
from src.data.augment import Augmentation
from src.data.images import LabelledImages
from src.data.seeds import make_generator
from src.results.run_folder import RunFolder
from src.training.checkpoint import Progress
from src.training.device import Placement
from src.training.interruption import StopRequest
from src.training.learner import Learner
from src.training.loop import train_epoch
from src.training.prepare import load_data, make_learner, make_loader, make_network, make_preprocess
from src.training.session import Run, Session

Rounds = list[tuple[float, float]]

# What torchvision does image by image where we do it for the batch.
PER_IMAGE = {
    "affine": v2.Compose(
        [
            v2.RandomAffine(degrees=15, translate=(0.1, 0.1), interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(),
        ]
    ),
    "crop_flip": v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]),
}


def compare_loop(config: DictConfig, network: str, placement: Placement) -> tuple[str, str, Rounds]:
    """Images per second of the real `train_epoch`, and of forward, backward and update on one batch that lies ready."""
    config = config.copy()
    config.model = OmegaConf.load(CONFIGS / "model" / f"{network}.yaml")
    size = config.data.batch_size
    train = load_data(config).train
    bare = _bare_side(config, train, placement)
    bare(2)  # warms up
    batches = max(3, round(config.seconds / (_timed(lambda: bare(3), placement) / 3)))
    chosen = torch.arange(batches * size) % len(train)
    loop = _loop_side(config, train[chosen], placement)
    loop()
    rounds = [
        (batches * size / _timed(loop, placement), batches * size / _timed(lambda: bare(batches), placement))
        for _ in range(config.rounds)
    ]
    return f"training loop / bare step, {network}", "images/s", rounds


def compare_pipeline(config: DictConfig, network: str, placement: Placement) -> tuple[str, str, Rounds]:
    """Images per second of the real `train_epoch`, and of the loop that most CIFAR repositories have.

    Theirs: pictures one by one through torchvision's crop and flip in two workers of a DataLoader, then the same step.
    """
    config = config.copy()
    config.model = OmegaConf.load(CONFIGS / "model" / f"{network}.yaml")
    config.augmentation = OmegaConf.load(CONFIGS / "augmentation" / "crop_flip.yaml")
    size = config.data.batch_size
    train = load_data(config).train
    bare = _bare_side(config, train, placement)
    bare(2)  # warms up
    batches = max(10, round(config.seconds / (_timed(lambda: bare(3), placement) / 3)))
    train = train[torch.arange(batches * size) % len(train)]
    ours, theirs = _loop_side(config, train, placement), _dataloader_side(config, train, placement)
    ours()
    theirs()
    rounds = [
        (batches * size / _timed(ours, placement), batches * size / _timed(theirs, placement))
        for _ in range(config.rounds)
    ]
    return f"training loop / torchvision and DataLoader, {network}", "images/s", rounds


def compare_augmentation(config: DictConfig, name: str, placement: Placement) -> tuple[str, str, Rounds]:
    """Microseconds per image: draws, conversion and augmentation of a batch, and torchvision on each of its images."""
    config = config.copy()
    config.augmentation = OmegaConf.load(CONFIGS / "augmentation" / f"{name}.yaml")
    augmentation = build(config, "augmentation")
    images = load_data(config).train.images[: config.data.batch_size].to(placement.device)
    preprocess = make_preprocess(config, placement)
    count, transform = len(images), PER_IMAGE[name]

    def batch() -> None:
        generator = make_generator(0, device=placement.device)
        augmentation(preprocess.pixels(images), augmentation.draw(generator, count))

    def one_by_one() -> None:
        for image in images:
            transform(image)

    rounds = []
    for _ in range(config.rounds):
        sides = [_repeated(side, config.seconds / 5, placement) for side in (batch, one_by_one)]
        rounds.append((sides[0] / count * 1e6, sides[1] / count * 1e6))
    return f"augmentation, batch / torchvision, {name}", "us/image", rounds


def _bare_side(config: DictConfig, train: LabelledImages, placement: Placement) -> Callable[[int], None]:
    learner = make_learner(config, make_network(config, placement), placement, Augmentation(), batches_per_epoch=1)
    images, labels = (tensor[: config.data.batch_size].to(placement.device) for tensor in (train.images, train.labels))
    inputs = learner.preprocess.normalise(learner.preprocess.pixels(images))
    learner.train()

    def steps(count: int) -> None:
        for _ in range(count):
            _bare_step(learner, inputs, labels)

    return steps


def _bare_step(learner: Learner, inputs: Tensor, labels: Tensor) -> None:
    with learner.placement.autocast():
        logits = learner.model(inputs)
    learner.scaler.scale(F.cross_entropy(logits.float(), labels)).backward()
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    learner.optimizer.zero_grad(set_to_none=True)


def _loop_side(config: DictConfig, train: LabelledImages, placement: Placement) -> Callable[[], None]:
    loader, augmentation = make_loader(config, train, placement)
    settings = typed(config)[1]
    run = Run(
        learner=make_learner(config, make_network(config, placement), placement, augmentation, len(loader)),
        loader=loader,
        validation=None,
        classes=None,
        seed=0,
        settings=settings,
        pause_at=None,
        chooses_checkpoint=False,
        closing_images=0,
        folder=RunFolder(Path(tempfile.gettempdir())),  # nothing is written: rounds are shorter than checkpoint_minutes
        fingerprint="",
        observers=(),
        stop=StopRequest(),
    )

    def epoch() -> None:
        progress = Progress()
        train_epoch(run, progress, Session(run, progress))

    return epoch


class _Pictures(Dataset[tuple[Tensor, int]]):
    """As torchvision's CIFAR classes are: a picture each time, and transforms on it."""

    def __init__(self, data: LabelledImages) -> None:
        self.pictures = [Image.fromarray(image) for image in data.images.permute(0, 2, 3, 1).numpy()]
        self.labels = data.labels.tolist()
        self.transform = v2.Compose(
            [*PER_IMAGE["crop_flip"].transforms, v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def _dataloader_side(config: DictConfig, train: LabelledImages, placement: Placement) -> Callable[[], None]:
    learner = make_learner(config, make_network(config, placement), placement, Augmentation(), batches_per_epoch=1)
    loader = DataLoader(_Pictures(train), config.data.batch_size, shuffle=True, num_workers=2, persistent_workers=True,
                        pin_memory=placement.device.type == "cuda")  # fmt: skip
    learner.train()

    def epoch() -> None:
        for images, labels in loader:
            _bare_step(learner, images.to(placement.device), labels.to(placement.device))

    return epoch


def _repeated(side: Callable[[], None], seconds: float, placement: Placement) -> float:
    """Seconds per call, over about `seconds`."""
    side()
    calls = max(1, round(seconds / _timed(side, placement)))
    return _timed(lambda: [side() for _ in range(calls)], placement) / calls


def _timed(side: Callable[[], object], placement: Placement) -> float:
    started = time.perf_counter()
    side()
    if placement.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
