"""Initial weights. Each function changes a network in place, drawing from torch's global generator."""

from torch import nn


def keras_(network: nn.Module) -> None:
    """Keras's defaults: Glorot-uniform kernels and zero biases (Glorot & Bengio 2010)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def kaiming_(network: nn.Module) -> None:
    """Normal weights of convolutions, with the variance that ReLU keeps (He et al. 2015)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def dirac_(network: nn.Module) -> None:
    """Makes convolutions start as the identity: the first `in_channels` filters copy one input channel each.

    Further filters keep their random weights; fewer filters copy as many channels. A 2x2 kernel copies its lower right
    pixel. After Zagoruyko & Komodakis 2017 ("DiracNets") and the CIFAR speedruns (Jordan 2024).
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.dirac_(layer.weight[: layer.in_channels].data)


def keras_dirac_(network: nn.Module) -> None:
    keras_(network)
    dirac_(network)


INITIALIZERS = {"keras": keras_, "torch": lambda network: None, "keras_dirac": keras_dirac_}  # torch: as created
