"""Small images first: they teach coarse features for less time (Howard 2018, DAWNBench).

A schedule is a list of [share of the run, pixels]: [[0.15, 20], [0.5, 24]] trains at 20 pixels for the first 15 % of
the run, at 24 until its half, then at full size.
"""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional as F

Schedule = Sequence[tuple[float, int]]


def size_at(done: float, schedule: Schedule) -> int | None:
    """The size in pixels after the share `done` of the run; None for full size."""
    return next((size for until, size in schedule if done < until), None)


def resize_batch(images: Tensor, size: int | None) -> Tensor:
    """(n, 3, size, size) float, antialiased bilinear, of images (n, 3, H, W) float; `images` themselves for None."""
    return images if size is None else F.interpolate(images, (size, size), mode="bilinear", antialias=True)


def step_cost(size: int) -> float:
    """Time of a step with images of `size` pixels, in a unit of its own.

    It grows with the 1.4th power of the size, measured with the fast recipes on a CPU. The number of pixels would give
    the 2nd power, but the augmentation's and the optimizer's parts are the same for all sizes.
    """
    return size**1.4


def mean_cost(schedule: Schedule, image_size: int, cost: Callable[[int], float], until: float = 1.0) -> float:
    """The mean over the run of a step's `cost`, by its images' pixels; steps after the share `until` cost nothing."""
    total = start = 0.0
    for end, size in [*schedule, (1.0, image_size)]:
        total += max(0.0, min(until, end) - start) * cost(size)
        start = end
    return total


def cost_until(done: float, schedule: Schedule, image_size: int) -> float:
    """The share of the run's time that its first part `done` takes; both lie in [0, 1]."""
    return mean_cost(schedule, image_size, step_cost, done) / mean_cost(schedule, image_size, step_cost)
