"""Metrics computed from logits: loss, accuracies, calibration error, the confusion matrix and the table of classes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from src.calibration import measure_reliability
from src.data.dataset import Classes


@dataclass(frozen=True)
class Metrics:
    """Mean cross-entropy in nats (the negative log-likelihood), accuracies as fractions, expected calibration error.

    `superclass` is None where there are no superclasses.
    """

    loss: float
    top1: float
    top5: float
    superclass: float | None
    ece: float
    images: int


def measure(logits: Tensor, labels: Tensor, classes: Classes) -> Metrics:
    """Metrics of `logits` (N, num_classes) float against `labels` (N,) int64; of at most five classes, top5 is 1.

    The superclass is right where the class with the largest logit belongs to the true superclass.
    """
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = ranked == labels[:, None]
    superclass = None
    if classes.superclass_of:
        parent = torch.tensor(classes.superclass_of, device=labels.device)
        superclass = _mean(parent[ranked[:, 0]] == parent[labels])
    loss = F.cross_entropy(logits.double(), labels).item()
    ece = measure_reliability(logits, labels).ece
    return Metrics(loss, _mean(hits[:, 0]), _mean(hits.any(dim=1)), superclass, ece, len(labels))


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """(num_classes, num_classes) int64 counts, row = true class, column = predicted class, of (N,) int64 each."""
    cells = labels * num_classes + predicted
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def most_confused(confusion: Tensor) -> list[tuple[int, int]]:
    """Pairs of different labels that were taken for each other, most often first, from the counts."""
    both = (confusion + confusion.T).triu(diagonal=1).flatten()
    ordered = both.argsort(descending=True, stable=True)
    return [divmod(place, len(confusion)) for place in ordered[: both.count_nonzero()].tolist()]


@dataclass(frozen=True)
class ClassRow:
    """One class on the evaluated images; `recall` and `precision` are None where the divisor is 0."""

    name: str
    superclass: str
    images: int
    recall: float | None
    precision: float | None
    most_confused_with: str
    confused_share: float


def per_class(confusion: Tensor, classes: Classes) -> list[ClassRow]:
    """One row per class, lowest recall first, from the counts of `confusion_matrix`."""
    mistakes = confusion.clone().fill_diagonal_(0)
    most_confused = mistakes.argmax(dim=1)
    counts = (confusion.diagonal(), confusion.sum(dim=1), confusion.sum(dim=0), mistakes.amax(dim=1))
    rows = []
    for label, (correct, images, predicted, confused) in enumerate(torch.stack(counts, dim=1).tolist()):
        superclass = classes.superclass_names[classes.superclass_of[label]] if classes.superclass_of else ""
        recall = correct / images if images else None
        precision = correct / predicted if predicted else None
        other, share = (classes.names[most_confused[label]], confused / images) if confused else ("", 0.0)
        rows.append(ClassRow(classes.names[label], superclass, images, recall, precision, other, share))
    return sorted(rows, key=lambda row: (row.recall is None, row.recall))


def _mean(hits: Tensor) -> float:
    return hits.sum().item() / len(hits)
