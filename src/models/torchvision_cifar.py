"""Torchvision's networks, made for 224 pixels, changed for small images."""

from torch import nn
from torchvision.models import get_model

from src.models.head import Head

HALVINGS = 2  # left out; an unchanged ResNet reduces 32 pixels to 8 before its first block


def torchvision_cifar(name: str, num_classes: int) -> nn.Module:
    """The untrained network `name` without its first two halvings of the image.

    A first convolution of 7x7 becomes one of 3x3. This is what repositories for CIFAR do with ResNets: stride 1, no
    max-pooling.

    Raises ValueError for a name that torchvision does not know, and for a network that does not begin with a
    convolution of stride 2.
    """
    network = get_model(name, weights=None, num_classes=num_classes)
    layers = [path for path, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
    halving = [path for path in layers if network.get_submodule(path).stride in (2, (2, 2))][:HALVINGS]
    kernels = [network.get_submodule(path).kernel_size for path in halving]
    if len(halving) < HALVINGS or halving[0] != layers[0] or (1, 1) in kernels:  # 1x1: a parallel branch
        raise ValueError(f"name={name} does not begin with a convolution of stride 2, as ResNets do")
    for path in halving:
        layer = network.get_submodule(path)
        network.set_submodule(path, _keep_size(layer) if isinstance(layer, nn.Conv2d) else nn.Identity())
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.Linear) and layer.out_features == num_classes:
            network.set_submodule(path, _as_head(layer))
    return network


def _as_head(layer: nn.Linear) -> Head:
    head = Head(layer.in_features, layer.out_features, bias=layer.bias is not None)
    head.load_state_dict(layer.state_dict())
    return head


def _keep_size(layer: nn.Conv2d) -> nn.Conv2d:
    """A 3x3 convolution with stride 1: the layer itself, or a new one in place of a larger kernel."""
    if layer.kernel_size == (3, 3):
        layer.stride = (1, 1)
        return layer
    small = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1, bias=layer.bias is not None)
    nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
    return small
