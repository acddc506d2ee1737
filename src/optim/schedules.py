"""Learning-rate schedules as pure functions: (epoch so far, epochs in all) -> factor on the optimizer's lr.

`epoch` is fractional, since the factor is set anew at every optimizer step: 2.5 is half way through the third epoch.
Each takes `warmup_epochs`, over which the factor first rises linearly from nearly 0 to the schedule's own value.
"""

import math
from collections.abc import Sequence


def constant(epoch: float, epochs: int, warmup_epochs: float = 0.0) -> float:
    """1 throughout."""
    return _warmup(epoch, warmup_epochs)


def cosine(epoch: float, epochs: int, warmup_epochs: float = 0.0, final_factor: float = 0.0) -> float:
    """Half a cosine from 1 after the warm-up to `final_factor` at the end (Loshchilov & Hutter 2017, no restarts)."""
    done = (epoch - warmup_epochs) / (epochs - warmup_epochs)
    return _warmup(epoch, warmup_epochs) * _half_cosine(1.0, final_factor, done)


def one_cycle(
    epoch: float,
    epochs: int,
    warmup_epochs: float = 0.0,
    rising_fraction: float = 0.3,
    start_factor: float = 0.04,
    final_factor: float = 4e-6,
) -> float:
    """Up from `start_factor` to 1 over `rising_fraction` of the run, down to `final_factor` (Smith & Topin 2018).

    The values are those of `torch.optim.lr_scheduler.OneCycleLR`; the optimizer's lr is the peak.
    """
    done = epoch / epochs
    if done < rising_fraction:
        factor = _half_cosine(start_factor, 1.0, done / rising_fraction)
    else:
        factor = _half_cosine(1.0, final_factor, (done - rising_fraction) / (1 - rising_fraction))
    return _warmup(epoch, warmup_epochs) * factor


def triangle(epoch: float, epochs: int, warmup_epochs: float = 0.0, rising_fraction: float = 0.25) -> float:
    """Linearly from 0 to 1 over `rising_fraction` of the run, linearly back to 0 at its end."""
    done = epoch / epochs
    factor = done / rising_fraction if done < rising_fraction else (1 - done) / (1 - rising_fraction)
    return _warmup(epoch, warmup_epochs) * max(factor, 0.0)


def step(
    epoch: float, epochs: int, warmup_epochs: float = 0.0, milestones: Sequence[float] = (0.5, 0.75), gamma: float = 0.1
) -> float:
    """Times `gamma` at each milestone, a fraction of the run."""
    passed = sum(epoch >= milestone * epochs for milestone in milestones)
    return _warmup(epoch, warmup_epochs) * gamma**passed


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2


def _warmup(epoch: float, warmup_epochs: float) -> float:
    if epoch >= warmup_epochs:
        return 1.0
    return max(epoch / warmup_epochs, 1e-3)  # a first step of exactly zero would be a step wasted
