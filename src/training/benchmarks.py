"""The two sides of each comparison of `src.benchmark`."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import v2

from src.commandline import CONFIGS
from src.config import build, typed
from src.data.augment import Augmentation
from src.data.images import LabelledImages
from src.data.seeds import make_generator
from src.results.run_folder import RunFolder
from src.training.checkpoint import Progress
from src.training.device import Placement, choose_placement
from src.training.interruption import StopRequest
from src.training.learner import Learner
from src.training.loop import train_epoch
from src.training.prepare import load_data, make_learner, make_loader, make_network, make_preprocess
from src.training.run import execute
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


def compare_loop(config: DictConfig, experiment: str) -> tuple[str, str, Rounds]:
    """Images per second of the real `train_epoch`, and of forward, backward and update on one batch that lies ready.

    Both take images of full size. So do those of `compare_pipeline`.
    """
    return _compare_epochs(config, f"training loop / bare step, {experiment}", _bare_epoch)


def compare_pipeline(config: DictConfig, experiment: str) -> tuple[str, str, Rounds]:
    """Images per second of the real `train_epoch`, and of the loop that most CIFAR repositories have.

    Theirs, as in weiaicunzai/pytorch-cifar100: pictures one by one through torchvision's crop, flip, rotation and
    normalisation in four workers of a DataLoader; then the same step in PyTorch's default memory layout and precision,
    and its loss read at once.
    """
    return _compare_epochs(config, f"training loop / torchvision and DataLoader, {experiment}", _dataloader_epoch)


def _compare_epochs(
    config: DictConfig,
    what: str,
    other: Callable[[DictConfig, LabelledImages, Placement], Callable[[], None]],
) -> tuple[str, str, Rounds]:
    """Epochs of ours and of `other`, in turns, over as many images as take `config.seconds`."""
    config = config.copy()
    config.trainer.sizes = []
    placement = choose_placement(config.trainer)
    size = config.data.batch_size
    train = load_data(config).train
    probe = _bare_epoch(config, train[torch.arange(3 * size) % len(train)], placement)
    probe()  # warms up
    batches = max(5, round(config.seconds / (_timed(probe, placement) / 3)))
    train = train[torch.arange(batches * size) % len(train)]
    sides = _loop_epoch(config, train, placement), other(config, train, placement)
    for side in sides:
        side()
    rounds = []
    for _ in range(config.rounds):
        ours, theirs = (batches * size / _timed(side, placement) for side in sides)
        rounds.append((ours, theirs))
    return what, "images/s", rounds


def measure_training(config: DictConfig, seed: int) -> tuple[float, float]:
    """Minutes of training and accuracy on the test set of one whole run, its folder thrown away."""
    config = config.copy()
    config.seed, config.data.validation = seed, "none"
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder(Path(path) / "run")
        folder.path.mkdir()
        folder.save_config(config)
        execute(config, folder, quiet=True)
        result = folder.load_result()
    return result["seconds"] / 60, result["metrics"]["test"]["top1"]


def compare_augmentation(config: DictConfig, name: str) -> tuple[str, str, Rounds]:
    """Microseconds per image: draws, conversion and augmentation of a batch, and torchvision on each of its images."""
    config = config.copy()
    config.augmentation = OmegaConf.load(CONFIGS / "augmentation" / f"{name}.yaml")
    augmentation = build(config, "augmentation")
    placement = choose_placement(config.trainer)
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


def _bare_epoch(config: DictConfig, train: LabelledImages, placement: Placement) -> Callable[[], None]:
    """As many steps as `train` has batches, all on its first."""
    learner = make_learner(config, make_network(config, placement), placement, Augmentation(), batches_per_epoch=1)
    size = config.data.batch_size
    images, labels = (tensor[:size].to(placement.device) for tensor in (train.images, train.labels))
    inputs = learner.preprocess.normalise(learner.preprocess.pixels(images))
    learner.train()

    def epoch() -> None:
        for _ in range(len(train) // size):
            _bare_step(learner, inputs, labels)

    return epoch


def _bare_step(learner: Learner, inputs: Tensor, labels: Tensor) -> Tensor:
    with learner.placement.autocast():
        logits = learner.model(inputs)
    loss = F.cross_entropy(logits.float(), labels)
    learner.scaler.scale(loss).backward()
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    learner.optimizer.zero_grad(set_to_none=True)
    return loss


def _loop_epoch(config: DictConfig, train: LabelledImages, placement: Placement) -> Callable[[], None]:
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

    def __init__(self, data: LabelledImages, mean: Sequence[float], std: Sequence[float]) -> None:
        self.pictures = [Image.fromarray(image) for image in data.images.permute(0, 2, 3, 1).numpy()]
        self.labels = data.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(data.images.shape[-1], padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.RandomRotation(15),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def _dataloader_epoch(config: DictConfig, train: LabelledImages, placement: Placement) -> Callable[[], None]:
    plain = Placement(placement.device, None, torch.contiguous_format)
    learner = make_learner(config, make_network(config, plain), plain, Augmentation(), batches_per_epoch=1)
    pictures = _Pictures(train, config.data.mean, config.data.std)
    loader = DataLoader(
        pictures,
        config.data.batch_size,
        shuffle=True,
        num_workers=4,
        persistent_workers=True,
        pin_memory=plain.device.type == "cuda",
    )
    learner.train()

    def epoch() -> None:
        total = 0.0
        for images, labels in loader:
            total += _bare_step(learner, images.to(plain.device), labels.to(plain.device)).item()

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
