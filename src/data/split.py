"""Which training images a network learns from and which it is validated on: indices, as functions of a seed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from src.data.images import Classes, ImageDataset, LabelledImages
from src.data.seeds import make_generator
from src.errors import UserError
from src.schemas import DataConfig


@dataclass(frozen=True)
class Splits:
    """`validation` are images held out of the training set: None with data.validation=test or none."""

    dataset: ImageDataset
    train: LabelledImages
    validation: LabelledImages | None
    test: LabelledImages
    train_indices: Tensor  # places among the training images of the data set
    validation_indices: Tensor | None

    @property
    def classes(self) -> Classes:
        return self.dataset.classes


def split(dataset: ImageDataset, settings: DataConfig, pool: Tensor | None = None) -> Splits:
    """Splits the training images as data.validation says, then cuts them down to data.limit.

    `pool` are the indices of those that may be used at all, sorted; None means all.
    """
    kept, held_out = torch.arange(len(dataset.train)) if pool is None else pool, None
    labels = dataset.train.labels[kept]
    if settings.validation == "holdout":
        kept, held_out = (kept[part] for part in holdout(labels, settings.holdout, settings.split_seed))
    if settings.validation == "fold":
        kept, held_out = (kept[part] for part in fold(labels, settings.fold, settings.folds, settings.split_seed))
    if settings.limit is not None:
        kept = kept[limit(dataset.train.labels[kept], settings.limit, settings.split_seed)]
    validation = None if held_out is None else dataset.train[held_out]
    return Splits(dataset, dataset.train[kept], validation, dataset.test, kept, held_out)


def shuffled_by_class(labels: Tensor, seed: int) -> list[Tensor]:
    """For each class the indices of its images, in an order that depends on nothing but the labels and the seed."""
    generator = make_generator(seed)
    members = [torch.nonzero(labels == label).flatten() for label in range(int(labels.max()) + 1)]
    return [indices[torch.randperm(len(indices), generator=generator)] for indices in members]


def holdout(labels: Tensor, per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    """(train, validation) indices, sorted: `per_class` images of every class are held out."""
    members = shuffled_by_class(labels, seed)
    smallest = min(len(indices) for indices in members)
    if per_class >= smallest:
        raise UserError(
            f"data.holdout={per_class} would leave nothing to train on: the smallest class has {smallest} training "
            f"images; set data.holdout below that."
        )
    return _together([m[per_class:] for m in members]), _together([m[:per_class] for m in members])


def fold(labels: Tensor, index: int, folds: int, seed: int) -> tuple[Tensor, Tensor]:
    """(train, validation) indices, sorted: fold `index` of `folds`; every image is validated on in exactly one."""
    members = shuffled_by_class(labels, seed)
    smallest = min(len(indices) for indices in members)
    if smallest < folds:
        raise UserError(f"data.folds={folds} is more than the smallest class has training images ({smallest}).")
    parts = [indices.tensor_split(folds) for indices in members]
    train = [part for split in parts for number, part in enumerate(split) if number != index]
    return _together(train), _together([split[index] for split in parts])


def limit(labels: Tensor, count: int, seed: int) -> Tensor:
    """Sorted indices of `count` images, as equally spread over the classes as they allow; larger counts add to it."""
    if count > len(labels):
        raise UserError(f"data.limit={count} is more than the {len(labels)} training images that the split leaves.")
    members = shuffled_by_class(labels, seed)
    # Round by round one image of each class: the first `count` of that order are the subset.
    rounds = torch.cat([torch.arange(len(indices)) for indices in members])
    order = torch.argsort(rounds, stable=True)
    return torch.cat(members)[order[:count]].sort().values


def _together(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts).sort().values
