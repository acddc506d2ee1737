"""Numbers from logits: loss, accuracies, the confusion matrix and the table of classes."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from src.data.images import Classes


@dataclass(frozen=True)
class Metrics:
    """Mean cross-entropy in nats, and accuracies as fractions; `superclass` is None where there are none."""

    loss: float
    top1: float
    top5: float
    superclass: float | None
    images: int

    def as_dict(self) -> dict[str, float | int | None]:
        return asdict(self)


def measure(logits: Tensor, labels: Tensor, classes: Classes) -> Metrics:
    """Metrics of `logits` (N, num_classes) float against `labels` (N,) int64.

    The superclass counts as right where the class with the largest logit belongs to the true superclass.
    """
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = ranked == labels[:, None]
    superclass = None
    if classes.superclass_of:
        parent = torch.tensor(classes.superclass_of, device=labels.device)
        superclass = _mean(parent[ranked[:, 0]] == parent[labels])
    loss = F.cross_entropy(logits.double(), labels).item()
    return Metrics(loss, _mean(hits[:, 0]), _mean(hits.any(dim=1)), superclass, len(labels))


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """(num_classes, num_classes) int64 counts: row = true class, column = predicted class."""
    cells = labels * num_classes + predicted
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


@dataclass(frozen=True)
class ClassRow:
    """One class on the evaluated images; `recall` and `precision` are None where there is nothing to divide by."""

    name: str
    superclass: str
    images: int
    recall: float | None
    precision: float | None
    most_confused_with: str
    confused_share: float


def per_class(confusion: Tensor, classes: Classes) -> list[ClassRow]:
    """One row per class, hardest first: how many of its images are found, and what they are mistaken for."""
    rows = []
    for label, name in enumerate(classes.names):
        correct, images = int(confusion[label, label]), int(confusion[label].sum())
        predicted = int(confusion[:, label].sum())
        mistakes = confusion[label].clone()
        mistakes[label] = 0
        other = int(mistakes.argmax())
        rows.append(
            ClassRow(
                name=name,
                superclass=classes.superclass_names[classes.superclass_of[label]] if classes.superclass_of else "",
                images=images,
                recall=correct / images if images else None,
                precision=correct / predicted if predicted else None,
                most_confused_with=classes.names[other] if mistakes[other] else "",
                confused_share=int(mistakes[other]) / images if images else 0.0,
            )
        )
    return sorted(rows, key=lambda row: (row.recall is None, row.recall))


def _mean(hits: Tensor) -> float:
    return hits.sum().item() / len(hits)
