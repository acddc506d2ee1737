"""How weights start. Each function changes a network in place, drawing from torch's global generator."""

from collections.abc import Callable

from torch import nn


def keras(network: nn.Module) -> None:
    """Keras's defaults: Glorot-uniform kernels and zero biases (Glorot & Bengio 2010)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def torch_default(network: nn.Module) -> None:
    """PyTorch's defaults, which the layers came with."""


INITIALISATIONS: dict[str, Callable[[nn.Module], None]] = {"keras": keras, "torch": torch_default}
