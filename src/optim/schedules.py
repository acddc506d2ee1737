"""Learning-rate schedules as pure functions: (epoch, length of the run in epochs) -> factor on the optimizer's lr.

`epoch` is fractional, since the factor changes at every optimizer step: 2.5 is half way through the third epoch. During
the first `warmup_epochs` the schedule's own value is multiplied by a factor that rises linearly from nearly 0 to 1.
"""

import math
from collections.abc import Sequence

from src.shapes import check_range


def constant(epoch: float, epochs: float, warmup_epochs: float = 0.0) -> float:
    """The warm-up, then 1; a factor of all other schedules."""
    return 1.0 if epoch >= warmup_epochs else max(epoch / warmup_epochs, 1e-3)  # 0 would waste the first step


def cosine(epoch: float, epochs: float, warmup_epochs: float = 0.0, final_factor: float = 0.0) -> float:
    """Half a cosine from 1 after the warm-up to `final_factor` at the end (Loshchilov & Hutter 2017, no restarts)."""
    check_range("final_factor", final_factor, 0, 1)
    done = (epoch - warmup_epochs) / (epochs - warmup_epochs)
    return constant(epoch, epochs, warmup_epochs) * _half_cosine(1.0, final_factor, done)


def one_cycle(
    epoch: float,
    epochs: float,
    warmup_epochs: float = 0.0,
    rising_fraction: float = 0.3,
    start_factor: float = 0.04,
    final_factor: float = 4e-6,
) -> float:
    """Half a cosine up from `start_factor` to 1 over `rising_fraction` of the run, another down to `final_factor`.

    Smith & Topin 2018; the defaults are those of `torch.optim.lr_scheduler.OneCycleLR`. The optimizer's lr is the peak.
    """
    _check_fraction(rising_fraction)
    check_range("start_factor", start_factor, 0, 1)
    check_range("final_factor", final_factor, 0, 1)
    done = epoch / epochs
    if done < rising_fraction:
        factor = _half_cosine(start_factor, 1.0, done / rising_fraction)
    else:
        factor = _half_cosine(1.0, final_factor, (done - rising_fraction) / (1 - rising_fraction))
    return constant(epoch, epochs, warmup_epochs) * factor


def triangle(epoch: float, epochs: float, warmup_epochs: float = 0.0, rising_fraction: float = 0.25) -> float:
    """Linear from 0 to 1 over `rising_fraction` of the run, then linear to 0 at its end."""
    _check_fraction(rising_fraction)
    done = epoch / epochs
    factor = done / rising_fraction if done < rising_fraction else (1 - done) / (1 - rising_fraction)
    return constant(epoch, epochs, warmup_epochs) * max(factor, 0.0)


def step(
    epoch: float,
    epochs: float,
    warmup_epochs: float = 0.0,
    milestones: Sequence[float] = (0.5, 0.75),
    gamma: float = 0.1,
) -> float:
    """1, multiplied by `gamma` at each milestone; milestones are fractions of the run."""
    for milestone in milestones:
        check_range("milestones", milestone, 0, 1)
    check_range("gamma", gamma, 0, 1)
    passed = sum(epoch >= milestone * epochs for milestone in milestones)
    return constant(epoch, epochs, warmup_epochs) * gamma**passed


def _check_fraction(rising_fraction: float) -> None:
    if not 0 < rising_fraction < 1:
        raise ValueError(f"rising_fraction={rising_fraction} must lie between 0 and 1")


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2
