"""Batch norm over the rows of all ranks: a batch has one mean and variance, however many devices share it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.training.ranks import Ranks


class SyncedBatchNorm(_BatchNorm):
    """The batch norm `norm`, with its own parameters and buffers, whose statistics are those of all ranks' rows.

    Unlike `nn.SyncBatchNorm` it also runs on CPUs, and accepts ranks without any rows.
    """

    def __init__(self, norm: _BatchNorm, ranks: Ranks) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.ranks, self.training = ranks, norm.training
        self._parameters, self._buffers = norm._parameters, norm._buffers

    def _check_input_dim(self, inputs: Tensor) -> None:
        """Any: (n, C, ...)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, C, ...) -> the same shape and dtype; statistics are computed in float32, the variance in a second pass.

        Raises ValueError, as PyTorch does, for one value per channel in all. In evaluation nothing is exchanged.
        """
        if not self.training:
            return super().forward(inputs)
        others = [dim for dim in range(inputs.ndim) if dim != 1]
        shape = [-1 if dim == 1 else 1 for dim in range(inputs.ndim)]
        values = inputs.float()
        own_count = inputs.numel() // inputs.shape[1]
        count = self.ranks.sum(torch.tensor(float(own_count), device=inputs.device))
        if own_count <= 1 and count <= 1:  # asked only then: the answer waits for the device
            raise ValueError("Expected more than 1 value per channel when training")
        mean = _Sum.apply(values.sum(others), self.ranks) / count
        centered = values - mean.view(shape)
        variance = _Sum.apply(centered.square().sum(others), self.ranks) / count
        if self.track_running_stats:
            self._update_statistics(mean, variance, count)
        outputs = centered * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            outputs = outputs * self.weight.view(shape) + self.bias.view(shape)
        return outputs.to(inputs.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), momentum)


class _Sum(torch.autograd.Function):
    """The sum over all ranks. Each rank's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.sum(values.clone())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.sum(grad.clone()), None


def synchronize_batch_norms(model: nn.Module, ranks: Ranks) -> None:
    """Replaces each batch norm of PyTorch's within `model` by a SyncedBatchNorm."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
                setattr(module, name, SyncedBatchNorm(child, ranks))
