"""Batches of training images, in an order that is a function of (seed, epoch): any epoch can be entered at any batch.

Both loaders yield `(images, labels)`: (n, 3, H, W) uint8 and (n,) int64 on the device. The last batch of an epoch may
be smaller; with `drop_last` it is left out, since a compiled step is made for one size.
"""

import math
import signal
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from src.data.images import LabelledImages
from src.data.seeds import derive_seed, make_generator

Batch = tuple[Tensor, Tensor]

# The last number of a place tells the uses of randomness apart, so that none follows from another.
ORDER, AUGMENTATION, TRANSFORM, SIDE = range(4)


def batch_count(images: int, batch_size: int, drop_last: bool) -> int:
    return images // batch_size if drop_last else math.ceil(images / batch_size)


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """(images,) int64: the order in which epoch `epoch` visits the images, on the CPU."""
    return torch.randperm(images, generator=make_generator(seed, epoch, 0, ORDER))


class ResidentLoader:
    """Batches of images that all lie on the device: one index_select each, no workers, no copies per image.

    With `alternate_flip` every image is mirrored in every other epoch, the first by chance (Jordan 2024): two epochs
    show both sides, which random flips do for one image in two.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        seed: int,
        device: torch.device,
        drop_last: bool = False,
        alternate_flip: bool = False,
    ) -> None:
        self.data, self.batch_size, self.seed, self.device = data.to(device), batch_size, seed, device
        self.drop_last = drop_last
        self.first_sides = None
        if alternate_flip:
            self.first_sides = torch.randint(0, 2, (len(data),), generator=make_generator(seed, 0, 0, SIDE)).to(device)

    def __len__(self) -> int:
        return batch_count(len(self.data), self.batch_size, self.drop_last)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on."""
        order = epoch_order(len(self.data), self.seed, epoch).to(self.device)
        for indices in order.split(self.batch_size)[start : len(self)]:
            images, labels = self.data.images.index_select(0, indices), self.data.labels.index_select(0, indices)
            if self.first_sides is not None:
                mirrored = (self.first_sides[indices] + epoch) % 2 == 1
                images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
            yield images, labels


class PerImageLoader:
    """The same batches with a torchvision transform applied to each image, in the workers of a DataLoader.

    For what has no batched form. `transform` maps one (3, H, W) uint8 image to another of equal shape; it draws from
    torch's global generator, which is seeded for each batch and put back as it was.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        seed: int,
        device: torch.device,
        transform: Callable[[Tensor], Tensor],
        workers: int,
        drop_last: bool = False,
    ) -> None:
        self.data, self.batch_size, self.seed, self.device = data, batch_size, seed, device
        self.transform, self.workers, self.drop_last = transform, workers, drop_last

    def __len__(self) -> int:
        return batch_count(len(self.data), self.batch_size, self.drop_last)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on."""
        loader = DataLoader(
            _TransformedBatches(self, epoch),
            batch_size=None,
            sampler=range(start, len(self)),
            num_workers=self.workers,
            worker_init_fn=_leave_signals_to_the_run,
            pin_memory=self.device.type == "cuda",
            generator=make_generator(self.seed, epoch, 0, TRANSFORM),  # else it draws from the run's own generator
        )
        for images, labels in loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class _TransformedBatches(Dataset[Batch]):
    """Item i is the whole batch i of one epoch."""

    def __init__(self, loader: PerImageLoader, epoch: int) -> None:
        self.data, self.transform = loader.data, loader.transform
        self.seed, self.epoch = loader.seed, epoch
        self.batches = epoch_order(len(loader.data), loader.seed, epoch).split(loader.batch_size)

    def __getitem__(self, step: int) -> Batch:
        batch = self.data[self.batches[step]]
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(derive_seed(self.seed, self.epoch, step, TRANSFORM))
            images = torch.stack([self.transform(image) for image in batch.images])
        return images, batch.labels


def _leave_signals_to_the_run(_worker: int) -> None:
    """Ctrl-C, and a cluster's SIGTERM, reach every process of a run: it ends its workers itself, after it has saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
