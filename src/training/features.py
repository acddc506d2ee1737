"""What a frozen part gives for every image, computed once and kept beside the base: a head then trains on numbers."""

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
from src.training.learner import Preprocess


class AsGiven(Preprocess):
    """For inputs that are features already."""

    def pixels(self, images: Tensor) -> Tensor:
        return images

    def normalise(self, images: Tensor) -> Tensor:
        return images


NO_AUGMENTATION = f"{Augmentation.__module__}.{Augmentation.__qualname__}"


def can_be_cached(network: nn.Module, config: DictConfig) -> bool:
    """Whether an image always gives the same features: frozen, not augmented, and split from the head by the network.

    Dropout inside the frozen part does not matter: like its batch norms it stays in evaluation mode.
    """
    if config.init.freeze != "features" or not config.init.cache or not isinstance(network, ConvNet):
        return False
    return not config.data.augment or config.augmentation["_target_"] == NO_AUGMENTATION


def cached(splits: Splits, network: ConvNet, config: DictConfig, placement: Placement, say: Callable) -> Splits:
    """The same splits with features (N, C, H, W) float32 in place of images.

    They are those of the whole data set, computed by the first run that needs them, for all runs over this base, and
    kept in its folder as features/<hash of weights, images and preprocessing>.pt.
    """
    preprocess = Preprocess(config.data.mean, config.data.std, placement)
    path = (
        find(config.init.run, "init.run").path / "features" / f"{_key(splits.dataset, network, config, placement)}.pt"
    )
    with _alone(path):
        if not path.exists():
            count = len(splits.dataset.train) + len(splits.dataset.test)
            say(f"computing the features of {count:,} images, once for all runs over {config.init.run} ...")
            _compute(path, splits.dataset, network.features, preprocess, placement)
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


def _compute(path: Path, dataset: ImageDataset, part: nn.Module, preprocess: Preprocess, placement: Placement) -> None:
    features = {
        name: compute_logits(part, data.images, preprocess, placement).contiguous().cpu()
        for name, data in (("train", dataset.train), ("test", dataset.test))
    }
    write_atomically(path, lambda file: torch.save(features, file))


def _key(dataset: ImageDataset, network: ConvNet, config: DictConfig, placement: Placement) -> str:
    digest = hashlib.sha256(fingerprint(dataset.train, dataset.test).encode())
    for name, value in network.features.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    digest.update(f"{config.data.mean} {config.data.std} {placement.autocast_dtype} {placement.device.type}".encode())
    return digest.hexdigest()[:16]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lets one process in at a time: runs that start together compute the features once."""
    path.parent.mkdir(exist_ok=True)
    with (path.parent / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
