"""Batches of training images, in an order that is a function of (seed, epoch): any epoch can be entered at any batch.

Both loaders yield `(images, labels)`: (n, 3, H, W) uint8 and (n,) int64 on the device. The last batch of an epoch may
be smaller; with `drop_last` it is left out, since a compiled step is made for one size.
"""

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from src.data.images import LabelledImages
from src.data.seeds import derive_seed, make_generator

Batch = tuple[Tensor, Tensor]

# The last number of a place tells the uses of randomness apart, so that none follows from another.
ORDER, AUGMENTATION, TRANSFORM, SIDE = range(4)


@dataclass(frozen=True)
class Batching:
    """How `images` training images are cut into batches, in each epoch in an order of its own."""

    images: int
    batch_size: int
    seed: int
    drop_last: bool = False

    def __len__(self) -> int:
        return self.images // self.batch_size if self.drop_last else math.ceil(self.images / self.batch_size)

    def indices(self, epoch: int, device: torch.device | str = "cpu") -> Sequence[Tensor]:
        """(n,) int64 on `device` for each batch of the epoch; the order is drawn on the CPU, alike for all devices."""
        order = torch.randperm(self.images, generator=make_generator(self.seed, epoch, 0, ORDER)).to(device)
        return order.split(self.batch_size)[: len(self)]


class ResidentLoader:
    """Batches of images that all lie on the device: one index_select each, no workers, no copies per image.

    With `alternate_flip` every image is mirrored in every other epoch, the first by chance (Jordan 2024): two epochs
    show both sides, which random flips do for one image in two.
    """

    def __init__(
        self, data: LabelledImages, batching: Batching, device: torch.device, alternate_flip: bool = False
    ) -> None:
        self.data, self.batching, self.device = data.to(device), batching, device
        self.first_sides = None
        if alternate_flip:
            generator = make_generator(batching.seed, 0, 0, SIDE)
            self.first_sides = torch.randint(0, 2, (len(data),), generator=generator).to(device)

    def __len__(self) -> int:
        return len(self.batching)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on."""
        for indices in self.batching.indices(epoch, self.device)[start:]:
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
        batching: Batching,
        device: torch.device,
        transform: Callable[[Tensor], Tensor],
        workers: int,
    ) -> None:
        self.data, self.batching, self.device = data, batching, device
        self.transform, self.workers = transform, workers

    def __len__(self) -> int:
        return len(self.batching)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on."""
        loader = DataLoader(
            _TransformedBatches(self, epoch),
            batch_size=None,
            sampler=range(start, len(self)),
            num_workers=self.workers,
            worker_init_fn=_leave_signals_to_the_run,
            pin_memory=self.device.type == "cuda",
            generator=make_generator(
                self.batching.seed, epoch, 0, TRANSFORM
            ),  # else it draws from the run's own generator
        )
        for images, labels in loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class _TransformedBatches(Dataset[Batch]):
    """Item i is the whole batch i of one epoch."""

    def __init__(self, loader: PerImageLoader, epoch: int) -> None:
        self.data, self.transform = loader.data, loader.transform
        self.seed, self.epoch = loader.batching.seed, epoch
        self.batches = loader.batching.indices(epoch)

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
