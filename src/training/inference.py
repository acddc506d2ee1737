"""A model with its preprocessing on its device: uint8 images in, logits out."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from src.data.image_rows import ImageRows
from src.nodes import is_in
from src.training.device import Placement

EVAL_BATCH = 512  # fixed, so that a model gives the same digits in training and in `src.evaluate`


class Preprocess:
    """What comes before the model: `to_float`, then perhaps an augmentation, then `normalize`."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], placement: Placement) -> None:
        self.memory_format = placement.memory_format
        self.is_identity = not any(mean) and all(value == 1 for value in std)
        self.mean, self.std = (torch.tensor(v, device=placement.device).view(1, 3, 1, 1) for v in (mean, std))

    def to_float(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> float32 in [0, 1]."""
        return images.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / 255)

    def normalize(self, images: Tensor) -> Tensor:
        """Minus mean, divided by std, in the memory format of the model."""
        images = images if self.is_identity else (images - self.mean) / self.std
        return images.contiguous(memory_format=self.memory_format)


class NoPreprocess(Preprocess):
    """For inputs that are features already."""

    def to_float(self, images: Tensor) -> Tensor:
        return images

    def normalize(self, images: Tensor) -> Tensor:
        return images


class Classifier:
    """A model on its device with its preprocessing.

    Args:
        model: (N, 3, H, W) float -> logits (N, num_classes).
        preprocess: what images pass before the model.
        placement: device, precision, memory layout.
        frozen: names of the parts that are not trained: ("features",).
        keeps_base: the frozen parts are those of the base run, and checkpoints do not repeat them.
        on_features: the inputs are the outputs of the frozen part, so only `model.head` is called.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocess: Preprocess,
        placement: Placement,
        frozen: Sequence[str] = (),
        keeps_base: bool = False,
        on_features: bool = False,
    ) -> None:
        self.model, self.preprocess, self.placement = model, preprocess, placement
        self.frozen, self.keeps_base, self.on_features = frozen, keeps_base, on_features
        self.trained_module = model.head if on_features else model

    def with_model(self, model: nn.Module) -> "Classifier":
        """The same around another copy of the model."""
        return Classifier(model, self.preprocess, self.placement, self.frozen, self.keeps_base, self.on_features)

    def train(self) -> None:
        """Training mode for all that is trained; a frozen part keeps its batch norm statistics."""
        self.model.train()
        for part in self.frozen:
            self.model.get_submodule(part).eval()

    def logits(
        self,
        images: Tensor | ImageRows,
        between_batches: Callable[[], None] = lambda: None,
        mirrored: bool = False,
    ) -> Tensor:
        """(N, num_classes) float32 on the device, of images (N, 3, H, W) uint8; see `compute_outputs`."""
        return compute_outputs(self.trained_module, images, self.preprocess, self.placement, between_batches, mirrored)

    def trained_state(self) -> dict[str, Tensor]:
        """The state dict of what checkpoints hold: of all but the parts that the base run keeps."""
        return {name: value for name, value in self.model.state_dict().items() if not self._is_kept(name)}

    def load_trained_state(self, state: dict[str, Tensor]) -> None:
        """Loads what `trained_state` returned; raises RuntimeError, as PyTorch does, for other keys or shapes."""
        kept = {name: value for name, value in self.model.state_dict().items() if self._is_kept(name)}
        self.model.load_state_dict({**kept, **state})

    @cached_property
    def frozen_hash(self) -> str | None:
        """A short hash of the parts that the base run keeps: by it a checkpoint knows whether that run has changed."""
        if not self.keeps_base:
            return None
        digest = hashlib.sha256()
        for part in self.frozen:
            for name, value in self.model.get_submodule(part).state_dict().items():
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _is_kept(self, name: str) -> bool:
        return self.keeps_base and is_in(name, self.frozen)


@torch.inference_mode()
def compute_outputs(
    module: nn.Module,
    images: Tensor | ImageRows,
    preprocess: Preprocess,
    placement: Placement,
    between_batches: Callable[[], None] = lambda: None,
    mirrored: bool = False,
) -> Tensor:
    """Outputs (N, ...) float32, on the device, of `module` in evaluation mode for `images` (N, 3, H, W) uint8.

    With `mirrored`, of the images' mirror images. `module` is left in evaluation mode. `between_batches` may raise to
    end early. Ranks share the batches; each returns all outputs.
    """
    module.eval()
    torch.backends.cudnn.benchmark = False  # see Trainer.train_epoch
    ranks, batches = placement.ranks, images.split(EVAL_BATCH)
    parts: dict[int, Tensor] = {}
    for first in range(0, len(batches), ranks.size):  # each rank takes one of the next batches
        if (own := first + ranks.rank) < len(batches):
            batch = batches[own].to(placement.device)
            inputs = preprocess.normalize(preprocess.to_float(batch.flip(-1) if mirrored else batch))
            with placement.autocast():
                parts[own] = module(inputs).float()
        between_batches()
    if ranks.size == 1:
        return torch.cat(list(parts.values()))
    shape = ranks.share(parts[0].shape[1:] if ranks.is_leader else None)
    zeros = (torch.zeros(len(batch), *shape, device=placement.device) for batch in batches)
    return ranks.sum(torch.cat([parts.get(number, zero) for number, zero in enumerate(zeros)]))
