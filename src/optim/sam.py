"""Sharpness-aware minimization (SAM): steps by the gradient at the worst point near the weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

ASAM_OFFSET = 0.01  # so that weights of zero move too, as in Kwon et al. 2021


@contextmanager
def climbed(weights: Sequence[Tensor], rho: float, adaptive: bool) -> Iterator[None]:
    """Moves `weights` by a distance of `rho` along their gradients; after the block they are exactly as before.

    Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization". `adaptive` is ASAM (Kwon
    et al. 2021): distances are relative to the size of each weight, so that rescaled layers move alike. The length of
    the gradients does not matter: they may carry a loss scale.
    """
    grads = [weight.grad for weight in weights]
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        sizes = [weight.abs() + ASAM_OFFSET for weight in before] if adaptive else [1.0] * len(before)
        scaled = [size * grad for size, grad in zip(sizes, grads, strict=True)]
        norm = torch.stack(torch._foreach_norm(scaled)).norm().clamp_min(1e-12)
        moves = [rho / norm * size * grad for size, grad in zip(sizes, scaled, strict=True)]
        torch._foreach_add_(list(weights), moves)
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(list(weights), before)


@contextmanager
def unchanged_buffers(model: nn.Module) -> Iterator[None]:
    """After the block the buffers of `model`, such as batch norm's running statistics, are as before."""
    buffers = list(model.buffers())
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, saved in zip(buffers, before, strict=True):
            buffer.copy_(saved)
