"""The training images split into those trained on and those held out for validation; indices follow from a seed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from src.config import DataConfig
from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.data.rng import make_generator
from src.errors import require


@dataclass(frozen=True)
class Splits:
    """A data set and its parts. `validation` is None with data.validation=test or none: no images are held out."""

    dataset: ImageDataset
    train: LabeledImages
    validation: LabeledImages | None
    test: LabeledImages
    train_indices: Tensor  # (n,) int64: places among the training images of the data set
    validation_indices: Tensor | None

    @property
    def classes(self) -> Classes:
        return self.dataset.classes


def split(dataset: ImageDataset, config: DataConfig, pool: Tensor | None = None) -> Splits:
    """Splits the training images by data.validation; data.limit then keeps a subset of those to train on.

    Uses only images in `pool` (n,) int64, sorted; None: all, and data.validation=holdout then takes the images that
    the data set itself has held out, if there are any. Raises UserError if classes are too small for the split.
    """
    kept = torch.arange(len(dataset.train)) if pool is None else pool
    held_out = None
    labels = dataset.train.labels[kept]
    if config.validation == "holdout" and dataset.held_out is not None and pool is None:
        is_held_out = torch.isin(kept, dataset.held_out)
        kept, held_out = kept[~is_held_out], kept[is_held_out]
    elif config.validation == "holdout":
        kept, held_out = (kept[part] for part in holdout(labels, config.holdout, config.split_seed))
    if config.validation == "fold":
        kept, held_out = (kept[part] for part in fold(labels, config.fold, config.folds, config.split_seed))
    if config.limit is not None:
        kept = kept[limit(dataset.train.labels[kept], config.limit, config.split_seed)]
    validation = None if held_out is None else dataset.train.part(held_out)
    return Splits(dataset, dataset.train.part(kept), validation, dataset.test, kept, held_out)


def shuffle_by_class(labels: Tensor, seed: int) -> list[Tensor]:
    """For each class the indices of its images, shuffled; a function of the labels and the seed."""
    generator = make_generator(seed)
    members = [torch.nonzero(labels == label).flatten() for label in range(int(labels.max()) + 1)]
    return [indices[torch.randperm(len(indices), generator=generator)] for indices in members]


def holdout(labels: Tensor, per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    """(train, validation) indices, sorted: `per_class` images of every class are held out."""
    members = shuffle_by_class(labels, seed)
    smallest = min(map(len, members))
    problem = f"data.holdout={per_class} would leave nothing to train on: the smallest class has {smallest} images"
    require(per_class < smallest, problem)
    return _separate([indices[:per_class] for indices in members], len(labels))


def fold(labels: Tensor, index: int, folds: int, seed: int) -> tuple[Tensor, Tensor]:
    """(train, validation) indices, sorted: fold `index` of `folds` validates; every image is in exactly one fold."""
    members = shuffle_by_class(labels, seed)
    smallest = min(map(len, members))
    require(folds <= smallest, f"data.folds={folds} is more than the smallest class has training images ({smallest})")
    return _separate([indices.tensor_split(folds)[index] for indices in members], len(labels))


def limit(labels: Tensor, count: int, seed: int) -> Tensor:
    """Sorted indices of `count` images, equally many of each class where possible; a larger count adds to a smaller."""
    num = len(labels)
    require(count <= num, f"data.limit={count} is more than the {num} training images that the split leaves")
    members = shuffle_by_class(labels, seed)
    # Take one image of each class per round: the first `count` in the order of rounds are the subset.
    rounds = torch.cat([torch.arange(len(indices)) for indices in members])
    return torch.cat(members)[rounds.argsort(stable=True)[:count]].sort().values


def _separate(held_out: list[Tensor], count: int) -> tuple[Tensor, Tensor]:
    """All other indices below `count`, and those in `held_out`, both sorted."""
    is_held_out = torch.zeros(count, dtype=torch.bool)
    is_held_out[torch.cat(held_out)] = True
    return torch.where(~is_held_out)[0], torch.where(is_held_out)[0]
