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


def keras_dirac(network: nn.Module) -> None:
    """`keras`, but convolutions begin as the identity: what a network has not yet learnt to use, it lets through."""
    keras(network)
    let_through(network)


def let_through(network: nn.Module) -> None:
    """Convolutions as the identity on the channels that they have room for; filters beyond keep their random start.

    A kernel of 2x2 lets the pixel at its lower right through.

    After Zagoruyko & Komodakis 2017 ("DiracNets") and the CIFAR speedruns (Jordan 2024).
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.dirac_(layer.weight[: layer.in_channels].data)


INITIALISATIONS: dict[str, Callable[[nn.Module], None]] = {
    "keras": keras,
    "torch": torch_default,
    "keras_dirac": keras_dirac,
}
