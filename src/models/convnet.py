"""The report's family of convolutional networks: blocks of 3x3 convolutions, then dense layers."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from src.models.initialise import INITIALISATIONS


class KerasHardSigmoid(nn.Module):
    """clip(0.2 x + 0.5, 0, 1), Keras's definition up to version 2; `nn.Hardsigmoid` is x/6 + 0.5."""

    def forward(self, x: Tensor) -> Tensor:
        return (0.2 * x + 0.5).clamp(0, 1)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "linear": nn.Identity,
    "hard_sigmoid": KerasHardSigmoid,
}
POOLINGS: dict[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
LAST_POOLINGS: dict[str, Callable[[int], nn.Module]] = {"max": nn.AdaptiveMaxPool2d, "average": nn.AdaptiveAvgPool2d}


class ConvNet(nn.Module):
    """(N, 3, image_size, image_size) float -> logits (N, num_classes).

    The last pooling brings images of other sizes to as many features. At `image_size` it is the plain one, where that
    halves evenly, as 32 pixels do.

    Args:
        blocks: filters of the 3x3 convolutions (same padding, ReLU) of each block, as [[64, 64], [128, 128]]; a block
            closes with one batch norm, after its last ReLU, and a 2x2 pooling, as in the report.
        width: multiplies the filters of every convolution (at least one is kept); 1 is the network as named.
        batch_norm: False leaves the batch norms out.
        pooling: "max" or "average".
        dropout: probability of dropping each of the flattened features.
        dense: widths of the hidden dense layers between the features and the logits.
        activation: after each hidden dense layer, one of ACTIVATIONS.
        init: "keras" (Glorot uniform, zero biases), "torch" (PyTorch's default) or "keras_dirac" (convolutions begin as
            the identity).
        num_classes, image_size: of the data.

    Raises ValueError for a value outside of these.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]],
        width: float,
        batch_norm: bool,
        pooling: str,
        dropout: float,
        dense: Sequence[int],
        activation: str,
        init: str,
        num_classes: int,
        image_size: int,
    ) -> None:
        super().__init__()
        _require(
            bool(blocks) and all(blocks), f"blocks={list(blocks)} must hold one filter count at least in each block"
        )
        _require(width > 0, f"width={width} must be above 0")
        _require(0 <= dropout < 1, f"dropout={dropout} must lie in [0, 1)")
        _require(all(units > 0 for units in dense), f"dense={list(dense)} must hold widths above 0")
        for name, value, known in (
            ("pooling", pooling, POOLINGS),
            ("activation", activation, ACTIVATIONS),
            ("init", init, INITIALISATIONS),
        ):
            _require(value in known, f"{name}={value} is not one of {', '.join(known)}")
        side = image_size >> len(blocks)
        _require(side > 0, f"{len(blocks)} poolings leave nothing of images of {image_size} pixels")

        filters = [[max(1, round(width * count)) for count in block] for block in blocks]
        self.features = nn.Sequential(*_convolutions(filters, batch_norm, POOLINGS[pooling]))
        self.features[-1] = LAST_POOLINGS[pooling](side)
        features = filters[-1][-1] * side * side
        self.head = nn.Sequential(*_dense_layers(features, dense, num_classes, dropout, ACTIVATIONS[activation]))
        INITIALISATIONS[init](self)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def _convolutions(blocks: list[list[int]], batch_norm: bool, pooling: Callable[[int], nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for block in blocks:
        for filters in block:
            layers += [nn.Conv2d(channels, filters, kernel_size=3, padding=1), nn.ReLU()]
            channels = filters
        if batch_norm:
            layers.append(nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01))  # Keras's values, in PyTorch's terms
        layers.append(pooling(2))
    return layers


def _dense_layers(
    features: int, dense: Sequence[int], num_classes: int, dropout: float, activation: Callable[[], nn.Module]
) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(dropout)]
    for units in dense:
        layers += [nn.Linear(features, units), activation()]
        features = units
    return [*layers, nn.Linear(features, num_classes)]


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
