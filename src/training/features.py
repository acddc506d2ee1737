"""What a frozen part gives for every image, computed once and kept beside the base: a head then trains on numbers."""

import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from src.data.augment import Augmentation
from src.data.images import ImageDataset, LabelledImages, fingerprint
from src.data.split import Splits
from src.models.convnet import ConvNet
from src.results.run_folder import find, write_atomically
from src.training.device import Placement
from src.training.evaluation import compute_logits
from src.training.learner import Preprocess, frozen_hash


class AsGiven(Preprocess):
    """For inputs that are features already."""

    def pixels(self, images: Tensor) -> Tensor:
        return images

    def normalise(self, images: Tensor) -> Tensor:
        return images


MOST_BYTES = 8 << 30  # of features: more is not worth its memory
NO_AUGMENTATION = f"{Augmentation.__module__}.{Augmentation.__qualname__}"


def can_be_cached(network: nn.Module, config: DictConfig, images: int) -> bool:
    """Whether an image always gives the same features (frozen, not augmented), and memory holds those of `images`.

    Dropout inside the frozen part does not matter: like its batch norms it stays in evaluation mode.
    """
    if config.init.freeze != "features" or not config.init.cache or not isinstance(network, ConvNet):
        return False
    if config.data.augment and config.augmentation["_target_"] != NO_AUGMENTATION:
        return False
    if config.data.alternate_flip or config.trainer.sizes:  # they are of images
        return False
    size = config.data.image_size
    image = torch.zeros(1, 3, size, size, device=next(network.parameters()).device)
    with torch.no_grad():
        return images * network.features.eval()(image).numel() * image.element_size() <= MOST_BYTES


def cached(
    splits: Splits,
    network: ConvNet,
    config: DictConfig,
    placement: Placement,
    say: Callable[[str], None],
    between_batches: Callable[[], None] = lambda: None,
) -> Splits:
    """The same splits with features (N, C, H, W) float32 in place of images.

    They are those of the whole data set, computed by the first run that needs them, for all runs over this base, and
    kept in its folder as features/<hash of weights, images and preprocessing>.pt. `between_batches` may raise to end
    early.
    """
    preprocess = Preprocess(config.data.mean, config.data.std, placement)
    path = (
        find(config.init.run, "init.run").path / "features" / f"{_key(splits.dataset, network, config, placement)}.pt"
    )
    with _alone(path, between_batches):
        if not path.exists():
            count = len(splits.dataset.train) + len(splits.dataset.test)
            say(f"computing the features of {count:,} images, once for all runs over {config.init.run} ...")
            _compute(path, splits.dataset, network.features, preprocess, placement, between_batches)
    features = torch.load(path, mmap=True, weights_only=True)
    train, test = features["train"], features["test"]

    def of(indices: Tensor, data: LabelledImages) -> LabelledImages:
        return LabelledImages(train.index_select(0, indices), data.labels)

    return Splits(
        dataset=splits.dataset,
        train=of(splits.train_indices, splits.train),
        validation=None if splits.validation is None else of(splits.validation_indices, splits.validation),
        test=LabelledImages(test.clone(), splits.test.labels),
        train_indices=splits.train_indices,
        validation_indices=splits.validation_indices,
    )


def _compute(
    path: Path,
    dataset: ImageDataset,
    part: nn.Module,
    preprocess: Preprocess,
    placement: Placement,
    between_batches: Callable[[], None],
) -> None:
    features = {
        name: compute_logits(part, data.images, preprocess, placement, between_batches).contiguous().cpu()
        for name, data in (("train", dataset.train), ("test", dataset.test))
    }
    write_atomically(path, lambda file: torch.save(features, file))


def _key(dataset: ImageDataset, network: ConvNet, config: DictConfig, placement: Placement) -> str:
    data, weights = fingerprint(dataset.train, dataset.test), frozen_hash(network, "features")
    preprocessing = f"{config.data.mean} {config.data.std} {placement.autocast_dtype} {placement.device.type}"
    return hashlib.sha256(f"{data} {weights} {network.features} {preprocessing}".encode()).hexdigest()[:16]


@contextmanager
def _alone(path: Path, while_waiting: Callable[[], None]) -> Iterator[None]:
    """Lets one process in at a time: runs that start together compute the features once."""
    path.parent.mkdir(exist_ok=True)
    with (path.parent / ".lock").open("w") as file:
        while not _taken(file):
            while_waiting()
            time.sleep(0.1)
        yield


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
