import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from src.optim.schedules import constant, cosine, one_cycle, step, triangle

STEPS, EPOCHS = 200, 10


def reference(make) -> list[float]:
    """The factors of a scheduler of PyTorch's over STEPS steps at a peak of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler: LRScheduler = make(optimizer)
    factors = []
    for _ in range(STEPS):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return factors


def ours(schedule, **settings) -> list[float]:
    return [schedule(i / STEPS * EPOCHS, EPOCHS, **settings) for i in range(STEPS)]


def test_cosine_is_pytorchs():
    assert ours(cosine) == pytest.approx(reference(lambda o: CosineAnnealingLR(o, T_max=STEPS)), abs=1e-9)


def test_one_cycle_is_pytorchs():
    # PyTorch counts to the last step, we to the end of the run: hence one step more.
    theirs = reference(lambda o: OneCycleLR(o, max_lr=1.0, total_steps=STEPS + 1, pct_start=0.3))
    assert ours(one_cycle) == pytest.approx(theirs, abs=2e-2)
    assert max(ours(one_cycle)) == pytest.approx(1)


def test_triangle_rises_and_falls_linearly():
    factors = ours(triangle, rising_fraction=0.25)
    assert factors[25] == pytest.approx(0.5) and factors[50] == pytest.approx(1) and factors[125] == pytest.approx(0.5)
    assert triangle(EPOCHS, EPOCHS) == 0 and min(factors[1:]) > 0


def test_step_drops_at_its_milestones():
    factors = ours(step, milestones=[0.5, 0.75], gamma=0.1)
    assert factors[99] == 1 and factors[100] == pytest.approx(0.1) and factors[150] == pytest.approx(0.01)


def test_warm_up_rises_linearly_from_nearly_nothing():
    factors = ours(constant, warmup_epochs=2)
    assert 0 < factors[0] < 0.01
    assert factors[20] == pytest.approx(0.5) and factors[40:] == [1.0] * 160


def test_cosine_after_warm_up_starts_at_its_peak():
    factors = ours(cosine, warmup_epochs=5, final_factor=0.1)
    assert factors[100] == pytest.approx(1)
    assert cosine(EPOCHS, EPOCHS, warmup_epochs=5, final_factor=0.1) == pytest.approx(0.1)
