"""The parameters that an optimizer is given."""

from typing import Any

from torch import Tensor, nn


def parameter_groups(model: nn.Module, decay_norms_and_biases: bool) -> list[Tensor] | list[dict[str, Any]]:
    """All trainable weights; without `decay_norms_and_biases`, norms and biases are a group without weight decay."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if decay_norms_and_biases:
        return weights
    return [
        {"params": [weight for weight in weights if weight.ndim >= 2]},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
