"""What learns: a network with its preprocessing, objective, optimizer and schedule, placed on a device."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from src.data.augment import Augmentation
from src.training.device import Placement


class Preprocess:
    """What comes before the network: `pixels`, then perhaps an augmentation, then `normalise`."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], placement: Placement) -> None:
        self.memory_format = placement.memory_format
        self.is_identity = not any(mean) and all(value == 1 for value in std)
        self.mean, self.std = (torch.tensor(v, device=placement.device).view(1, 3, 1, 1) for v in (mean, std))

    def pixels(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> float32 in [0, 1]."""
        return images.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / 255)

    def normalise(self, images: Tensor) -> Tensor:
        """Minus `mean`, divided by `std`, in the memory format of the network."""
        images = images if self.is_identity else (images - self.mean) / self.std
        return images.contiguous(memory_format=self.memory_format)


@dataclass
class Learner:
    """The parts that one optimizer step needs. `objective` is `batch_loss`, compiled or not.

    `model` is what the batches go through: the whole `network` or, where its frozen features are cached, its head.
    """

    network: nn.Module
    model: nn.Module
    frozen: nn.Module | None  # the part of `model` that stays in evaluation mode
    frozen_name: str | None  # the part of `network` that checkpoints leave to the base
    frozen_hash: str | None  # of that part's weights
    preprocess: Preprocess
    augmentation: Augmentation
    placement: Placement
    optimizer: Optimizer
    scheduler: LambdaLR
    scaler: torch.amp.GradScaler
    objective: Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, Tensor]]

    def train(self) -> None:
        """Training mode for all that is trained."""
        self.model.train()
        if self.frozen is not None:
            self.frozen.eval()

    @property
    def lr(self) -> float:
        return self.optimizer.param_groups[0]["lr"]


def make_objective(
    model: nn.Module, preprocess: Preprocess, augmentation: Augmentation, placement: Placement, label_smoothing: float
) -> Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, Tensor]]:
    """The function (images uint8, labels, augmentation's draws) -> (mean loss, number of correct predictions)."""

    def batch_loss(images: Tensor, labels: Tensor, draws: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        inputs = preprocess.normalise(augmentation(preprocess.pixels(images), draws))
        with placement.autocast():
            logits = model(inputs)
        logits = logits.float()
        targets = augmentation.targets(labels, draws, logits.shape[1])
        loss = F.cross_entropy(logits, targets, label_smoothing=label_smoothing)
        main = targets if targets.ndim == 1 else targets.argmax(dim=1)  # of mixed images the label with most of it
        return loss, (logits.detach().argmax(dim=1) == main).sum()

    return batch_loss


def trained_state(network: nn.Module, frozen: str | None) -> dict[str, Tensor]:
    """What a checkpoint holds of the network: all but its frozen part, which the base's own checkpoint holds."""
    state = network.state_dict()
    return {name: value for name, value in state.items() if not (frozen and name.startswith(f"{frozen}."))}


def frozen_hash(network: nn.Module, frozen: str | None) -> str | None:
    """A short hash of the part that checkpoints leave to the base: by it they know whether the base has changed."""
    if not frozen:
        return None
    digest = hashlib.sha256()
    for name, value in network.get_submodule(frozen).state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def load_trained_state(network: nn.Module, state: dict[str, Tensor], frozen: str | None) -> None:
    """Puts back what `trained_state` gave; raises RuntimeError, as PyTorch does, for other keys or shapes."""
    rest = {name: value for name, value in network.state_dict().items() if frozen and name.startswith(f"{frozen}.")}
    network.load_state_dict({**rest, **state})
