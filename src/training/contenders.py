"""Epochs that a benchmark lets compete: ours, the bare step, and the loop of most CIFAR repositories."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from src.config import typed
from src.data.augment import Augmentation
from src.data.images import LabelledImages
from src.results.run_folder import RunFolder
from src.training.checkpoint import Progress
from src.training.device import Placement
from src.training.interruption import StopRequest
from src.training.learner import Learner
from src.training.loop import train_epoch
from src.training.prepare import make_learner, make_loader, make_network
from src.training.session import Run, Session


def bare_epoch(config: DictConfig, train: LabelledImages, placement: Placement) -> Callable[[], None]:
    """As many steps as `train` has batches, all on its first."""
    learner = make_learner(config, make_network(config, placement), placement, Augmentation(), batches_per_epoch=1)
    size = config.data.batch_size
    images, labels = (tensor[:size].to(placement.device) for tensor in (train.images, train.labels))
    inputs = learner.preprocess.normalise(learner.preprocess.pixels(images))
    model = torch.compile(learner.model, fullgraph=True, dynamic=False) if config.trainer.compile else learner.model
    learner.train()

    def epoch() -> None:
        for _ in range(len(train) // size):
            _bare_step(learner, model, inputs, labels)

    return epoch


def _bare_step(learner: Learner, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    with learner.placement.autocast():
        logits = model(inputs)
    loss = F.cross_entropy(logits.float(), labels)
    learner.scaler.scale(loss).backward()
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    learner.optimizer.zero_grad(set_to_none=True)
    return loss


def loop_epoch(config: DictConfig, train: LabelledImages, placement: Placement) -> Callable[[], None]:
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
    """As torchvision's CIFAR classes are: each time a picture is made of the pixels, and transforms are done to it."""

    def __init__(self, data: LabelledImages, mean: Sequence[float], std: Sequence[float]) -> None:
        self.pixels = data.images.permute(0, 2, 3, 1).contiguous().numpy()
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
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def dataloader_epoch(config: DictConfig, train: LabelledImages, placement: Placement) -> Callable[[], None]:
    plain = Placement(placement.device, None, torch.contiguous_format)
    learner = make_learner(config, make_network(config, plain), plain, Augmentation(), batches_per_epoch=1)
    pictures = _Pictures(train, config.data.mean, config.data.std)
    loader = DataLoader(
        pictures,
        config.data.batch_size,
        shuffle=True,
        num_workers=min(4, os.cpu_count() or 1),
        persistent_workers=True,
        pin_memory=plain.device.type == "cuda",
    )
    learner.train()

    def epoch() -> None:
        total = 0.0
        for images, labels in loader:
            inputs, labels = images.to(plain.device), labels.to(plain.device)
            total += _bare_step(learner, learner.model, inputs, labels).item()

    return epoch
