"""What competes in a benchmark: the training loop, the bare step, and the loop of most CIFAR repositories.

Each `*_epoch` function prepares one side and returns its epoch, a function that takes all of `splits.train`.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from src.config import RunConfig
from src.data.dataset import LabeledImages
from src.data.split import Splits
from src.run_dir import RunDir
from src.training.build import build_model, build_optimizer, build_preprocess, build_scheduler
from src.training.device import Placement
from src.training.inference import Classifier
from src.training.trainer import Trainer

Epoch = Callable[[], None]
Baseline = Callable[[RunConfig, Splits, Placement], Epoch]
MATRIX_SIZE = 4096  # large enough for the device's highest speed
NOWHERE = RunDir(Path(os.devnull))  # a checkpoint would fail there: benchmarks must not write any


def loop_epoch(config: RunConfig, splits: Splits, placement: Placement) -> Epoch:
    """The epoch of `src.train`, with its augmentation."""
    trainer = Trainer(config, build_classifier(config, splits, placement), splits, NOWHERE)

    def epoch() -> None:
        trainer.train_epoch()
        trainer.end_epoch(val=None)

    return epoch


def bare_epoch(config: RunConfig, splits: Splits, placement: Placement) -> Epoch:
    """As many steps as there are full batches, all on the first batch, which is ready on the device."""
    classifier = build_classifier(config, splits, placement)
    if config.trainer.compile:
        classifier.trained_module = torch.compile(classifier.trained_module, fullgraph=True, dynamic=False)
    step = build_step(config, classifier)
    size, train, preprocess = config.data.batch_size, splits.train, classifier.preprocess
    inputs = preprocess.normalize(preprocess.to_float(train.images[:size].to(placement.device)))
    labels = train.labels[:size].to(placement.device)

    def epoch() -> None:
        for _ in range(len(train) // size):
            step(inputs, labels)

    return epoch


def dataloader_epoch(config: RunConfig, splits: Splits, placement: Placement) -> Epoch:
    """The epoch of weiaicunzai/pytorch-cifar100 and its like.

    The workers of a DataLoader, four or one per core, bring the images one by one through torchvision's transforms.
    The step is the bare one, never compiled, in float32 and PyTorch's default memory layout; its loss is read at once.
    """
    plain = Placement(placement.device, None, torch.contiguous_format)
    step = build_step(config, build_classifier(config, splits, plain))
    images = PILImages(splits.train, config.data.pixel_mean, config.data.pixel_std)
    workers, on_gpu = min(4, os.cpu_count() or 1), plain.device.type == "cuda"
    loader = DataLoader(
        images, config.data.batch_size, shuffle=True, num_workers=workers, persistent_workers=True, pin_memory=on_gpu
    )

    def epoch() -> None:
        for images, labels in loader:
            step(images.to(plain.device), labels.to(plain.device)).item()

    return epoch


def matrix_product(placement: Placement) -> Callable[[], Tensor]:
    """A function that multiplies two square matrices of MATRIX_SIZE in the precision of `placement`.

    Every call writes to the same memory, so that many calls can wait for a GPU.
    """
    dtype = placement.autocast_dtype or torch.float32
    square = torch.ones(MATRIX_SIZE, MATRIX_SIZE, dtype=dtype, device=placement.device)
    return partial(torch.mm, square, square, out=torch.empty_like(square))


def build_classifier(config: RunConfig, splits: Splits, placement: Placement) -> Classifier:
    """The model with new weights, whatever init.run says: weights do not change the speed."""
    model = build_model(config, len(splits.classes.names), placement)
    return Classifier(model, build_preprocess(config, placement), placement)


def build_step(config: RunConfig, classifier: Classifier) -> Callable[[Tensor, Tensor], Tensor]:
    """Forward, backward and update: inputs (n, 3, H, W) float32 and labels (n,) int64 -> mean loss."""
    placement = classifier.placement
    optimizer = build_optimizer(config, classifier.model)
    build_scheduler(config, optimizer, 1, config.trainer.epochs)  # sets the first learning rate, which stays
    scaler = torch.amp.GradScaler(placement.device.type, enabled=placement.needs_scaler)
    classifier.train()

    def step(inputs: Tensor, labels: Tensor) -> Tensor:
        with placement.autocast():
            logits = classifier.trained_module(inputs)
        loss = F.cross_entropy(logits.float(), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return loss

    return step


class PILImages(CIFAR10):
    """torchvision's CIFAR data set with these images: each access makes a PIL image, then (3, H, W) float32."""

    def __init__(self, data: LabeledImages, mean: Sequence[float], std: Sequence[float]) -> None:
        self.data, self.targets = data.images[:].permute(0, 2, 3, 1).contiguous().numpy(), data.labels.tolist()
        crop = transforms.RandomCrop(data.images.shape[-1], padding=4)
        flip, rotate = transforms.RandomHorizontalFlip(), transforms.RandomRotation(15)
        to_float, normalize = transforms.ToTensor(), transforms.Normalize(mean, std)
        self.transform = transforms.Compose([crop, flip, rotate, to_float, normalize])
        self.target_transform = None


def torchvision_transform(name: str, size: int) -> Callable[[Tensor], Tensor]:
    """torchvision's counterpart of the augmentation `name`: (3, size, size) uint8 -> the same."""
    if name == "trivial_augment":
        return v2.Compose([torchvision_transform("crop_flip", size), v2.TrivialAugmentWide()])
    if name == "rand_augment":
        return v2.Compose([torchvision_transform("crop_flip", size), v2.RandAugment()])
    shift = v2.RandomCrop(size, padding=4)
    if name == "affine":
        shift = v2.RandomAffine(degrees=15, translate=(0.1, 0.1), interpolation=v2.InterpolationMode.BILINEAR)
    return v2.Compose([shift, v2.RandomHorizontalFlip()])
