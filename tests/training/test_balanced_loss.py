import torch
from torch.nn import functional as F

from src.training.balanced_loss import BalancedCrossEntropy

LABELS = torch.tensor([0, 0, 0, 1])
LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0], [3.0, -1.0]])


def fitted(**options) -> BalancedCrossEntropy:
    loss = BalancedCrossEntropy(**options)
    loss.fit_to(LABELS, 2)
    return loss


def test_an_image_of_a_class_a_third_as_large_counts_three_times():
    each = F.cross_entropy(LOGITS, LABELS, reduction="none")
    assert torch.isclose(fitted()(LOGITS, LABELS), (each * torch.tensor([2 / 3, 2 / 3, 2 / 3, 2.0])).mean())


def test_the_mean_over_parts_is_that_of_the_whole():
    """So devices may share a batch: nn.CrossEntropyLoss with weights divides by the weights of each part."""
    loss = fitted()
    assert torch.isclose((loss(LOGITS[:2], LABELS[:2]) + loss(LOGITS[2:], LABELS[2:])) / 2, loss(LOGITS, LABELS))


def test_labels_may_be_mixed():
    mixed = F.one_hot(LABELS, 2).float()
    loss = fitted(label_smoothing=0.1)
    assert torch.isclose(loss(LOGITS, mixed), loss(LOGITS, LABELS))
