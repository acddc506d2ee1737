"""Cross-entropy in which all classes count alike, however many images they have."""

from torch import Tensor, nn
from torch.nn import functional as F

from src.data.balance import class_weights


class BalancedCrossEntropy(nn.Module):
    """Cross-entropy with each image weighted by `src.data.balance.class_weights`.

    The mean is taken over the number of images, not over their weights as in nn.CrossEntropyLoss: it is then the same
    however a batch is divided among devices or accumulated.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("weights", None)

    def fit_to(self, labels: Tensor, num_classes: int) -> None:
        """Takes the weights from the labels (N,) int64 of all training images."""
        self.weights = class_weights(labels, num_classes)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean loss () of logits (n, num_classes) and targets (n,) int64, or (n, num_classes) where they are mixed."""
        total = F.cross_entropy(logits, targets, self.weights, reduction="sum", label_smoothing=self.label_smoothing)
        return total / len(logits)
