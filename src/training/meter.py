"""The sums of one epoch of training."""

import torch
from torch import Tensor


class Meter:
    """Sums over the epoch under way.

    Loss and correct predictions are summed on `device`: every reading of a number there waits for the device, so they
    are read about once a second.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.reset()

    def reset(self) -> None:
        """Starts a new epoch."""
        self.load_state_dict({"loss_sum": 0.0, "correct": 0, "images": 0, "seconds": 0.0})

    def update(self, loss: Tensor, correct: Tensor, num_images: int) -> None:
        """Adds a batch: its mean loss, () float, and its number of correct predictions, () int64."""
        self.loss_sum += loss.detach() * num_images
        self.correct += correct
        self.images += num_images

    def mean_loss(self) -> float:
        """Mean loss of an image; waits for the device."""
        return self.loss_sum.item() / self.images

    def accuracy(self) -> float:
        """Fraction of correct predictions; waits for the device."""
        return self.correct.item() / self.images

    def state_dict(self) -> dict[str, float]:
        """Plain numbers; waits for the device."""
        return {
            "loss_sum": self.loss_sum.item(),
            "correct": int(self.correct.item()),
            "images": self.images,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continues the sums of an interrupted epoch."""
        self.loss_sum = torch.tensor(state["loss_sum"], dtype=torch.float64, device=self.device)
        self.correct = torch.tensor(state["correct"], dtype=torch.int64, device=self.device)
        self.images = state["images"]
        self.seconds = state["seconds"]  # of training, without validation
