"""The course report's family of convolutional networks: blocks of 3x3 convolutions, then dense layers."""

from collections.abc import Sequence

from torch import Tensor, nn

from src.models.head import Head
from src.models.init import INITIALIZERS


class KerasHardSigmoid(nn.Module):
    """clip(0.2 x + 0.5, 0, 1), as in Keras up to version 2; `nn.Hardsigmoid` is clip(x / 6 + 0.5, 0, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return (0.2 * x + 0.5).clamp(0, 1)


ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "linear": nn.Identity}
ACTIVATIONS["hard_sigmoid"] = KerasHardSigmoid
POOLINGS = {"max": (nn.MaxPool2d, nn.AdaptiveMaxPool2d), "average": (nn.AvgPool2d, nn.AdaptiveAvgPool2d)}


class LastPooling(nn.Module):
    """(N, C, H, W) -> (N, C, side, side): a 2x2 pooling of features of twice the side, an adaptive one of others.

    Only the former has a deterministic gradient on a GPU.
    """

    def __init__(self, pooling: str, side: int) -> None:
        super().__init__()
        halve, adapt = POOLINGS[pooling]
        self.side, self.halve, self.adapt = side, halve(2), adapt(side)

    def forward(self, features: Tensor) -> Tensor:
        is_twice = features.shape[2:] == (2 * self.side, 2 * self.side)
        return self.halve(features) if is_twice else self.adapt(features)


class ConvNet(nn.Module):
    """(N, 3, image_size, image_size) float -> logits (N, num_classes).

    The last pooling is adaptive, so that images of other sizes have the same number of features. At `image_size` it
    equals a 2x2 pooling, provided that 2 ** len(blocks) divides `image_size`.

    Args:
        blocks: number of filters of each 3x3 convolution (same padding, ReLU) in each block, [[64, 64], [128, 128]]. A
            block ends with a 2x2 pooling, as in the course report.
        width: factor on the number of filters of every convolution.
        batch_norm: each block has a batch norm between its last ReLU and its pooling.
        pooling: "max" or "average".
        dropout: probability of dropping each of the flattened features.
        dense: widths of the hidden dense layers, each followed by `activation`, one of ACTIVATIONS.
        init: one of INITIALIZERS.
        batch_norm_momentum: share of each batch in the running statistics.

    Raises ValueError for a value out of its range, and for more poolings than `image_size` allows.
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
        batch_norm_momentum: float = 0.01,  # as Keras, whose momentum is 0.99
    ) -> None:
        super().__init__()
        side = image_size >> len(blocks)  # of the features, in pixels
        named = (("pooling", pooling, POOLINGS), ("activation", activation, ACTIVATIONS), ("init", init, INITIALIZERS))
        for holds, problem in (
            (bool(blocks) and all(blocks), f"blocks={list(blocks)} must hold at least one number in each block"),
            (all(count >= 1 for block in blocks for count in block), f"blocks={list(blocks)} hold a number below 1"),
            (width > 0, f"width={width} must be above 0"),
            (0 <= dropout < 1, f"dropout={dropout} must lie in [0, 1)"),
            (0 < batch_norm_momentum <= 1, f"batch_norm_momentum={batch_norm_momentum} must lie in (0, 1]"),
            (all(units > 0 for units in dense), f"dense={list(dense)} must hold widths above 0"),
            (side > 0, f"{len(blocks)} poolings leave nothing of images of {image_size} pixels"),
            *((value in known, f"{name}={value} is not one of {', '.join(known)}") for name, value, known in named),
        ):
            if not holds:
                raise ValueError(problem)
        halve, _ = POOLINGS[pooling]
        layers, channels = [], 3
        for block in blocks:
            for count in block:
                filters = max(1, round(width * count))
                layers += [nn.Conv2d(channels, filters, kernel_size=3, padding=1), nn.ReLU()]
                channels = filters
            if batch_norm:
                layers.append(nn.BatchNorm2d(channels, eps=1e-3, momentum=batch_norm_momentum))  # Keras's eps
            layers.append(halve(2))
        self.features = nn.Sequential(*layers[:-1], LastPooling(pooling, side))

        head, features = [nn.Flatten(), nn.Dropout(dropout)], channels * side * side
        for units in dense:
            head += [nn.Linear(features, units), ACTIVATIONS[activation]()]
            features = units
        self.head = nn.Sequential(*head, Head(features, num_classes))
        INITIALIZERS[init](self)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))
