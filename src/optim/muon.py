"""Muon for the filters of convolutions and SGD for all other weights, as one optimizer."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.hardware import computes_bf16

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the quintic, Jordan et al. 2024: a few steps suffice


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
        if any("lr" in group for group in given):
            raise ValueError("it has two learning rates, lr and sgd_lr, and takes none of parts (optimizer.lr_of)")
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
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            updates = self._nesterov(weights, group["momentum"])
            if group is self.param_groups[0]:  # filters
                updates = orthogonalize(updates, self.newton_schulz_steps, dtype)
                rescale(weights)
            else:
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_mul_(updates, group["lr"])
            torch._foreach_sub_(weights, updates)

    def _nesterov(self, weights: Sequence[Tensor], momentum: float) -> list[Tensor]:
        """grad + momentum * buffer, once buffer is momentum * buffer + grad (Sutskever et al. 2013)."""
        for weight in weights:
            if "momentum_buffer" not in self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        buffers, grads = [self.state[weight]["momentum_buffer"] for weight in weights], [w.grad for w in weights]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, grads)
        return list(torch._foreach_add(grads, buffers, alpha=momentum))


def rescale(filters: Sequence[Tensor]) -> None:
    """Gives each of `filters` (out, in, h, w) a Frobenius norm of sqrt(out), in place."""
    factors = torch._foreach_reciprocal(torch._foreach_norm(filters))
    torch._foreach_mul_(factors, [len(filter) ** 0.5 for filter in filters])
    torch._foreach_mul_(filters, factors)


def orthogonalize(filters: Sequence[Tensor], steps: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """The matrices (out, in * h * w) of `filters` (out, in, h, w) with their singular values moved close to 1.

    Singular vectors, shapes and dtypes stay the same. `steps` of an odd quintic (Newton-Schulz), computed in `dtype`.
    """
    # channels_last filters are matrices (out, h * w * in) without a copy; the order of columns changes nothing
    in_order = [filter if filter.is_contiguous() else filter.permute(0, 2, 3, 1) for filter in filters]
    matrices = [filter.flatten(1).to(dtype) for filter in in_order]
    norms = torch._foreach_add(torch._foreach_norm(matrices), 1e-7)
    results = []
    for filter, ordered, matrix in zip(filters, in_order, torch._foreach_div(matrices, norms), strict=True):
        tall = matrix.shape[0] > matrix.shape[1]  # the products are smaller for the transposed matrix
        matrix = newton_schulz(matrix.T, steps).T if tall else newton_schulz(matrix, steps)
        result = matrix.to(filter.dtype).unflatten(1, ordered.shape[1:])
        results.append(result if ordered is filter else result.permute(0, 3, 1, 2))
    return results


def newton_schulz(matrix: Tensor, steps: int) -> Tensor:
    """Moves the singular values of `matrix` (m, n), all in (0, 1], close to 1."""
    if matrix.shape[1] >= 4 * matrix.shape[0]:
        return _product_of_steps(matrix @ matrix.T, steps) @ matrix
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = matrix @ matrix.T
        matrix = torch.addmm(matrix, torch.addmm(gram, gram, gram, beta=b, alpha=c), matrix, beta=a)
    return matrix


def _product_of_steps(gram: Tensor, steps: int) -> Tensor:
    """The matrix (m, m) by which all `steps` together multiply a matrix (m, n) whose gram matrix is `gram` (m, m).

    Each step multiplies by a + polynomial, polynomial = b * gram + c * gram^2. For n much larger than m its products of
    (m, m) matrices take less time than those with the matrix itself.
    """
    a, b, c = COEFFICIENTS
    polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
    product = polynomial.clone()
    product.diagonal().add_(a)
    for _ in range(steps - 1):
        half = torch.addmm(gram, polynomial, gram, beta=a)
        gram = torch.addmm(half, half, polynomial, beta=a)  # (a + polynomial) @ gram @ (a + polynomial)
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        product = torch.addmm(product, polynomial, product, beta=a)
    return product
