"""Muon for the filters of convolutions, SGD for everything else: one optimizer to the training loop."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.hardware import computes_bf16

# Of the quintic that drives all singular values to about 1 within a few steps (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Steps along the orthogonalised momentum of each filter bank, the rest along Nesterov's momentum.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; for convolutions as in the CIFAR
    speedruns ("94% on CIFAR-10 in 3.29 seconds", Jordan 2024, and its successors): a filter bank (out, in, h, w) is a
    matrix (out, in * h * w), kept at a root mean square of 1 / sqrt(in * h * w) per filter. `torch.optim.Muon` takes
    matrices only.

    Args:
        params: parameters; those of four dimensions are filter banks.
        lr: of the filters, whose updates have singular values of about 1.
        momentum: of the filters.
        newton_schulz_steps: iterations of the orthogonalisation.
        sgd_lr, sgd_momentum: of the rest: biases, norms, dense layers.
        weight_decay: of the rest, times its lr (decoupled). Filters need none: their size is fixed.

    Raises ValueError for values that no step can be made with, and for a network without filters.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float,
        newton_schulz_steps: int,
        sgd_lr: float,
        sgd_momentum: float,
        weight_decay: float,
    ) -> None:
        for name, value in (("lr", lr), ("sgd_lr", sgd_lr), ("weight_decay", weight_decay)):
            _require(value >= 0, f"{name}={value} must not be negative")
        for name, value in (("momentum", momentum), ("sgd_momentum", sgd_momentum)):
            _require(0 <= value < 1, f"{name}={value} must lie in [0, 1)")
        _require(newton_schulz_steps >= 1, f"newton_schulz_steps={newton_schulz_steps} must be at least 1")
        params = list(params)
        filters = [weight for weight in params if weight.ndim == 4]
        others = [weight for weight in params if weight.ndim != 4]
        _require(bool(filters), "the network has no convolutions that are trained; take optimizer=sgd or adam")
        self.newton_schulz_steps = newton_schulz_steps
        groups = [
            {"params": filters, "lr": lr, "momentum": momentum, "weight_decay": 0.0},
            {"params": others, "lr": sgd_lr, "momentum": sgd_momentum, "weight_decay": weight_decay},
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        filters, others = self.param_groups
        dtype = torch.bfloat16 if computes_bf16(filters["params"][0].device) else torch.float32  # precise enough
        for weight in filters["params"]:
            if weight.grad is not None:
                update = orthogonalise(self._nesterov(weight, filters["momentum"]), self.newton_schulz_steps, dtype)
                weight.mul_(len(weight) ** 0.5 / weight.norm()).add_(update, alpha=-filters["lr"])
        for weight in others["params"]:
            if weight.grad is not None:
                weight.mul_(1 - others["lr"] * others["weight_decay"])
                weight.add_(self._nesterov(weight, others["momentum"]), alpha=-others["lr"])
        return loss

    def _nesterov(self, weight: Tensor, momentum: float) -> Tensor:
        """The gradient with the momentum that it will have once it is in it (Sutskever et al. 2013)."""
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer = state["momentum_buffer"].mul_(momentum).add_(weight.grad)
        return weight.grad.add(buffer, alpha=momentum)


def orthogonalise(filters: Tensor, steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(out, ...) -> the same shape, as a matrix with its singular values moved close to 1, its singular vectors kept.

    Newton-Schulz iteration, computed in `dtype`.
    """
    matrix = filters.reshape(len(filters), -1).to(dtype)
    matrix = matrix / (matrix.norm() + 1e-7)
    tall = matrix.shape[0] > matrix.shape[1]
    if tall:
        matrix = matrix.T
    a, b, c = QUINTIC
    for _ in range(steps):
        gram = matrix @ matrix.T
        matrix = a * matrix + (b * gram + c * gram @ gram) @ matrix
    return (matrix.T if tall else matrix).reshape(filters.shape).to(filters.dtype)


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
