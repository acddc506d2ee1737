"""Muon for the filters of convolutions and SGD for all other weights, as one optimizer."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.hardware import computes_bf16


class Muon(Optimizer):
    """Orthogonalized Nesterov momentum for filters, SGD with Nesterov momentum for the rest.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; for convolutions as in the CIFAR
    speedruns (Jordan 2024): filters (out, in, h, w) are a matrix (out, in * h * w), rescaled to a Frobenius norm of
    sqrt(out) before each step. `torch.optim.Muon` takes 2-D weights only.

    Args:
        params: weights, or parameter groups (`src.optim.build.parameter_groups`) with `weight_decay` as the only other
            key. Weights of four dimensions are filters.
        lr, momentum: of the filters; their updates have singular values close to 1.
        newton_schulz_steps: iterations of the orthogonalization.
        sgd_lr, sgd_momentum: of the rest: biases, norms, dense layers.
        weight_decay: of the rest in groups without a value of their own; decoupled: the factor 1 - sgd_lr *
            weight_decay per step. Filters have none, since their norm is fixed.

    Raises ValueError for a value out of its range, and where `params` has no filters.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float,
        newton_schulz_steps: int,
        sgd_lr: float,
        sgd_momentum: float,
        weight_decay: float,
    ) -> None:
        for name, value in (("lr", lr), ("sgd_lr", sgd_lr), ("weight_decay", weight_decay)):
            if not value >= 0:  # nor NaN
                raise ValueError(f"{name}={value} must not be negative")
        for name, value in (("momentum", momentum), ("sgd_momentum", sgd_momentum)):
            if not 0 <= value < 1:
                raise ValueError(f"{name}={value} must lie in [0, 1)")
        if newton_schulz_steps < 1:
            raise ValueError(f"newton_schulz_steps={newton_schulz_steps} must be at least 1")
        params = list(params)
        given = params if params and isinstance(params[0], dict) else [{"params": params}]
        filters = [weight for group in given for weight in group["params"] if weight.ndim == 4]
        if not filters:
            raise ValueError("the network has no convolutions that are trained; take optimizer=sgd or adam")
        groups = [{"params": filters, "lr": lr, "momentum": momentum, "weight_decay": 0.0}]
        for group in given:
            rest = [weight for weight in group["params"] if weight.ndim != 4]
            groups.append({**group, "params": rest, "lr": sgd_lr, "momentum": sgd_momentum})
        self.newton_schulz_steps = newton_schulz_steps
        super().__init__(groups, {"weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """One update of every weight that has a gradient."""
        # bfloat16 is precise enough for orthogonalization
        dtype = torch.bfloat16 if computes_bf16(self.param_groups[0]["params"][0].device) else torch.float32
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                buffer = state["momentum_buffer"].mul_(group["momentum"]).add_(weight.grad)
                update = weight.grad.add(buffer, alpha=group["momentum"])  # Nesterov's (Sutskever et al. 2013)
                if weight.ndim == 4:
                    update = orthogonalize(update, self.newton_schulz_steps, dtype)
                    weight.mul_(len(weight) ** 0.5 / weight.norm())
                else:
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"])


def orthogonalize(filters: Tensor, steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The matrix (out, in * h * w) of `filters` (out, in, h, w) with its singular values moved close to 1.

    Singular vectors, shape and dtype stay the same. `steps` of an odd quintic (Newton-Schulz), computed in `dtype`.
    """
    matrix = filters.flatten(1).to(dtype)
    matrix = matrix / (matrix.norm() + 1e-7)
    tall = matrix.shape[0] > matrix.shape[1]
    if tall:  # the iteration's products are smaller for the transposed matrix
        matrix = matrix.T
    a, b, c = 3.4445, -4.7750, 2.0315  # of Jordan et al. 2024: a few steps suffice
    for _ in range(steps):
        gram = matrix @ matrix.T
        matrix = a * matrix + (b * gram + c * gram @ gram) @ matrix
    return (matrix.T if tall else matrix).reshape(filters.shape).to(filters.dtype)
