"""The network of the CIFAR speedruns: a whitening convolution, then three groups of convolutions."""

import warnings
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.models.head import Head
from src.models.init import dirac_
from src.models.tiny_image_conv import TinyImageConv2d
from src.shapes import check_choice

warnings.filterwarnings("ignore", "Using padding='same'")  # says that 2x2 kernels need a padded copy of their input


class SpeedrunNet(nn.Module):
    """(N, 3, H, W) float -> logits (N, num_classes); H and W of at least 9 pixels, which may change between batches.

    After Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", and its successor for CIFAR-100.

    Args:
        widths: channels of the three groups, at least 4 each; else ValueError.
        whitening: the first convolution (2x2) is not trained; `fit_to` sets it to the training images'
            `whitening_filters`. False: it is trained from a random start.
        dirac: the groups' convolutions start as the identity (`dirac_`).
        logit_scale: factor on the logits.
        silu_of: the end of a group, "pair": x + silu(pair(x)), or "sum": silu(x + pair(x)).
        stem_bias: the first convolution has a bias, which is trained.
        norm_weights: the weights of the norms are trained, not only their biases.
        batch_norm_momentum: weight of the present batch in the norms' running statistics.
    """

    def __init__(
        self,
        widths: Sequence[int],
        whitening: bool,
        dirac: bool,
        logit_scale: float,
        num_classes: int,
        silu_of: str = "sum",
        stem_bias: bool = False,
        norm_weights: bool = False,
        batch_norm_momentum: float = 0.4,
    ) -> None:
        super().__init__()
        check_choice("silu_of", silu_of, ("pair", "sum"))
        if len(widths) != 3 or min(widths) < 4:
            raise ValueError(f"widths={list(widths)} must hold three numbers of channels, at least 4 each")
        first, second, third = widths
        self.whitening, self.logit_scale = whitening, logit_scale
        stem = nn.Conv2d(3, 24, 2, bias=stem_bias)
        stem.weight.requires_grad_(not whitening)
        if stem_bias:
            nn.init.zeros_(stem.bias)
        group = partial(Group, silu_of=silu_of, batch_norm_momentum=batch_norm_momentum)
        self.features = nn.Sequential(
            stem,
            nn.SiLU(),
            group(24, first, inner=first, kernels=(3, 1, 1)),
            group(first, second, inner=3 * second // 4, kernels=(3, 3, 1)),
            group(second, third, inner=2 * third // 3, kernels=(2, 3, 3)),
        )
        self.head = Head(third, num_classes, bias=False)
        if dirac:
            dirac_(self.features[2:])
        for layer in self.features.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.requires_grad_(norm_weights)

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        # Not amax: its gradient compares the features with their maximum once more, and in a compiled bfloat16 graph,
        # where rounding differs, none may be equal: 0 / 0 = NaN.
        maximum = F.max_pool2d(features, features.shape[2:]).flatten(1)
        return self.head(maximum + features.mean(dim=(2, 3))) * self.logit_scale

    def fit_to(self, images: Tensor) -> None:
        """Sets the whitening filters from `images` (N, 3, H, W) float, preprocessed as the network's inputs are."""
        if self.whitening:
            self.features[0].weight.data.copy_(whitening_filters(images))


class Group(nn.Module):
    """Convolution, 2x2 max-pooling, norm, SiLU; then a residual pair of convolutions, with another SiLU."""

    def __init__(
        self,
        inputs: int,
        width: int,
        inner: int,
        kernels: tuple[int, int, int],
        silu_of: str,
        batch_norm_momentum: float = 0.4,
    ) -> None:
        super().__init__()
        self.silu_of = silu_of
        first, second, third = kernels
        norm = partial(nn.BatchNorm2d, momentum=batch_norm_momentum)
        self.enter = nn.Sequential(build_convolution(inputs, width, first), nn.MaxPool2d(2), norm(width), nn.SiLU())
        self.pair = nn.Sequential(
            build_convolution(width, inner, second),
            norm(inner),
            nn.SiLU(),
            build_convolution(inner, width, third),
            norm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return x + F.silu(self.pair(x)) if self.silu_of == "pair" else F.silu(x + self.pair(x))


def build_convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """A convolution that keeps the size of its input; 2x2 kernels are padded on the right and lower side only."""
    if kernel == 3:
        return TinyImageConv2d(inputs, outputs)
    return nn.Conv2d(inputs, outputs, kernel, padding="same", bias=False)


def whitening_filters(images: Tensor, eps: float = 5e-4) -> Tensor:
    """(24, 3, 2, 2) float: eigenvector / sqrt(eigenvalue + eps) of the 2x2 patches' second moments, and the negatives.

    For `images` (N, 3, H, W) float with a mean of zero, their responses are uncorrelated and have unit variance.
    """
    moments, count = torch.zeros(12, 12, device=images.device), 0
    for some in images.split(256):  # the patches of all images at once may be larger than the memory
        patches = F.unfold(some, kernel_size=2).transpose(1, 2).reshape(-1, 12)
        moments += patches.T @ patches
        count += len(patches)
    eigenvalues, eigenvectors = torch.linalg.eigh(moments / count)
    filters = (eigenvectors / (eigenvalues + eps).sqrt()).T.reshape(12, 3, 2, 2).flip(0)
    return torch.cat([filters, -filters])
