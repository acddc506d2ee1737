"""Whether probabilities mean what they say: calibration error, and a temperature that mends it.

Guo et al., On Calibration of Modern Neural Networks (2017).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

NUM_BINS = 15  # of equal width, as in Guo et al.
TEMPERATURES = (0.05, 20.0)  # between which the best is sought


class Reliability(NamedTuple):
    """Images in bins of their confidence, the probability of the predicted class; (NUM_BINS,) each.

    Bin i holds confidences in (i / NUM_BINS, (i + 1) / NUM_BINS]. Mean confidence and accuracy are 0 in an empty bin.
    """

    images: Tensor
    confidence: Tensor
    accuracy: Tensor

    @property
    def ece(self) -> float:
        """Expected calibration error: |accuracy - confidence|, the mean over the images, in [0, 1]."""
        gaps = (self.accuracy - self.confidence).abs()
        return (self.images * gaps).sum().item() / self.images.sum().item()


def measure_reliability(logits: Tensor, labels: Tensor) -> Reliability:
    """From `logits` (N, num_classes) float and `labels` (N,) int64, in float64 on the CPU."""
    logits, labels = logits.double().cpu(), labels.cpu()
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    edges = torch.linspace(0, 1, NUM_BINS + 1, dtype=torch.float64)
    bins = (torch.bucketize(confidence, edges) - 1).clamp(0, NUM_BINS - 1)
    images = torch.bincount(bins, minlength=NUM_BINS)
    sums = [torch.bincount(bins, each.double(), NUM_BINS) for each in (confidence, predicted == labels)]
    return Reliability(images, *(total / images.clamp(min=1) for total in sums))


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T that minimizes the cross-entropy of logits / T; the accuracy stays the same.

    Fit it on images that the network has not been trained on, and that are not evaluated afterwards.
    """
    from scipy.optimize import minimize_scalar  # slow to import

    logits, labels = logits.double().cpu(), labels.cpu()

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits / math.exp(log_temperature), labels).item()

    bounds = tuple(map(math.log, TEMPERATURES))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)
