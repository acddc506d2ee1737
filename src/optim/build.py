"""The parameters that an optimizer is given."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from src.nodes import is_in


def parameter_groups(
    model: nn.Module, decay_norms_and_biases: bool, lr_of: Mapping[str, float] | None = None
) -> list[Tensor] | list[dict[str, Any]]:
    """All trainable weights, in groups where some are treated differently.

    Without `decay_norms_and_biases`, norms and biases have no weight decay. `lr_of` are learning rates of parts by
    their names, {"features": 0.001}; the most specific name counts. Weights with the optimizer's own lr come first.
    """
    groups: dict[tuple[float | None, bool], list[Tensor]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            decays = decay_norms_and_biases or weight.ndim >= 2
            groups.setdefault((_lr_of(name, lr_of or {}), decays), []).append(weight)
    if list(groups) == [(None, True)] or not groups:
        return [weight for weights in groups.values() for weight in weights]
    described = []
    for lr, decays in sorted(groups, key=lambda key: (key[0] is not None, not key[1])):
        own = ({} if lr is None else {"lr": lr}) | ({} if decays else {"weight_decay": 0.0})
        described.append({"params": groups[lr, decays], **own})
    return described


def _lr_of(name: str, lr_of: Mapping[str, float]) -> float | None:
    parts = [part for part in lr_of if is_in(name, [part])]
    return lr_of[max(parts, key=len)] if parts else None
