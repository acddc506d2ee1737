"""Weights by which rare classes count as much as frequent ones."""

from torch import Tensor


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """(num_classes,) float32: N / (num_classes * images of the class), so that their mean over the N images is 1.

    The same as class_weight="balanced" of scikit-learn. A class without images counts as if it had one.
    """
    counts = labels.bincount(minlength=num_classes).clamp(min=1)
    return (len(labels) / (num_classes * counts)).float()


def balanced_weights(labels: Tensor) -> Tensor:
    """(N,) float32: the weight of each image, by the class in `labels` (N,) int64."""
    return class_weights(labels, int(labels.max()) + 1)[labels]
