"""The network of the CIFAR speedruns: whitened patches, three groups of convolutions, 175 million multiply-adds."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.models.initialise import let_through


class SpeedrunNet(nn.Module):
    """(N, 3, H, W) float -> logits (N, num_classes); H and W from 16 on, and free to change from batch to batch.

    After Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", and its successor for CIFAR-100.

    Args:
        widths: channels of the three groups.
        whitening: the first convolution, 2x2, holds the principal directions of the training images' patches and their
            negatives, scaled to unit variance, and is not trained; `fit_to` puts them in. False: it is trained.
        dirac: convolutions begin as the identity on the channels that they have room for.
        logit_scale: multiplies the logits.
        num_classes: of the data.
    """

    def __init__(
        self, widths: Sequence[int], whitening: bool, dirac: bool, logit_scale: float, num_classes: int
    ) -> None:
        super().__init__()
        if len(widths) != 3 or min(widths) < 4:
            raise ValueError(f"widths={list(widths)} must hold three numbers of channels, of 4 at least")
        first, second, third = widths
        self.whitening, self.logit_scale = whitening, logit_scale
        self.features = nn.Sequential(
            nn.Conv2d(3, 24, 2, bias=False).requires_grad_(not whitening),
            nn.SiLU(),
            Group(24, first, inner=first, kernels=(3, 1, 1)),
            Group(first, second, inner=3 * second // 4, kernels=(3, 3, 1)),
            Group(second, third, inner=2 * third // 3, kernels=(2, 3, 3)),
        )
        self.head = nn.Linear(third, num_classes, bias=False)
        if dirac:
            let_through(self.features[2:])

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        # not amax, whose gradient looks for the maximum again: compiled, rounding may have hidden it, and 0 / 0 is left
        highest = F.max_pool2d(features, features.shape[2:]).flatten(1)
        pooled = highest + features.mean(dim=(2, 3))
        return self.head(pooled) * self.logit_scale

    def fit_to(self, images: Tensor) -> None:
        """Puts the whitening filters of `images` (N, 3, H, W), as the network gets them, into the first convolution."""
        if self.whitening:
            self.features[0].weight.data.copy_(whitening_filters(images))


class Group(nn.Module):
    """Convolution, 2x2 max-pooling, norm, SiLU; then two convolutions around which its result is added."""

    def __init__(self, inputs: int, width: int, inner: int, kernels: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = kernels
        pool = nn.MaxPool2d(2)
        self.enter = nn.Sequential(*_convolution(inputs, width, first), pool, _norm(width), nn.SiLU())
        self.pair = nn.Sequential(
            *_convolution(width, inner, second),
            _norm(inner),
            nn.SiLU(),
            *_convolution(inner, width, third),
            _norm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return F.silu(x + self.pair(x))


def whitening_filters(images: Tensor, eps: float = 5e-4) -> Tensor:
    """(24, 3, 2, 2): the eigenvectors of the 2x2 patches' moments by 1 / sqrt(eigenvalue + eps), and minus these.

    The second moments of `images` (N, 3, H, W) are their covariance where they are normalised to a mean of zero.
    """
    patches = F.unfold(images, kernel_size=2).transpose(1, 2).reshape(-1, 12)
    moments = patches.T @ patches / len(patches)
    eigenvalues, eigenvectors = torch.linalg.eigh(moments)
    filters = (eigenvectors / (eigenvalues + eps).sqrt()).T.reshape(12, 3, 2, 2).flip(0)
    return torch.cat([filters, -filters])


def _convolution(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """Without a bias, and keeping the size of the image: an even kernel looks one pixel further right and down."""
    padding = kernel // 2 if kernel % 2 else 0
    layer = nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False)
    return [layer] if kernel % 2 else [nn.ZeroPad2d((0, kernel - 1, 0, kernel - 1)), layer]


def _norm(channels: int) -> nn.BatchNorm2d:
    """Its scale stays 1: what follows undoes it, and SGD's high rate for the other parameters is too high for it."""
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm
