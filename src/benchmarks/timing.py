"""How two sides are timed: from an idle device to an idle device, and in turns."""

import time
from collections.abc import Callable

import torch
from torch.utils.benchmark import Timer


def time_call(function: Callable[[], None], device: torch.device) -> float:
    """Seconds that a call takes, until `device` has done all its work."""
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda _: None
    synchronize(device)
    started = time.perf_counter()
    function()
    synchronize(device)
    return time.perf_counter() - started


def images_per_second(function: Callable[[], None], num_images: int, device: torch.device) -> float:
    """The speed of one call, which takes `num_images`."""
    return num_images / time_call(function, device)


def microseconds_per_image(function: Callable[[], None], num_images: int, seconds: float) -> float:
    """The median cost over about `seconds` of calls, each of which takes `num_images`, with one CPU thread."""
    timer = Timer("function()", globals={"function": function})
    return timer.blocked_autorange(min_run_time=seconds).median / num_images * 1e6


def in_turns(own: Callable[[], float], other: Callable[[], float], rounds: int) -> list[tuple[float, float]]:
    """`rounds` measurements (own, other). They begin with either in turn: a slowing machine then favors neither."""
    measured = []
    for number in range(rounds):
        if number % 2:
            second, first = other(), own()
        else:
            first, second = own(), other()
        measured.append((first, second))
    return measured
