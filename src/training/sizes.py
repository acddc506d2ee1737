"""How large the images of a run are: small at first, where `trainer.sizes` says so."""

from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from src.schemas import TrainerConfig


def size_at(done: float, settings: TrainerConfig) -> int | None:
    """The size in pixels of the images once the share `done` of the run is over; None: as they are.

    Small images first, which teach the coarse features for less (Howard 2018, DAWNBench).
    """
    return next((size for until, size in settings.sizes if done < until), None)


def resized(images: Tensor, size: int | None) -> Tensor:
    """(n, 3, size, size) uint8, antialiased bilinear."""
    return images if size is None else transforms.resize(images, [size, size], antialias=True)


def step_work(size: int) -> float:
    """What a step with images of `size` pixels takes, in a unit of its own.

    Its time goes with the 1.4th power of the size, as the fast recipes' on a CPU: not with all pixels, since the
    optimizer's part is the same for all sizes.
    """
    return size**1.4


def work_until(done: float, settings: TrainerConfig, image_size: int) -> float:
    """The share of the run's work that lies in its first part `done`: its steps with small images take less."""
    before = total = start = 0.0
    for end, size in [*settings.sizes, [1.0, image_size]]:
        total += (end - start) * step_work(size)
        before += max(0.0, min(done, end) - start) * step_work(size)
        start = end
    return before / total
