"""The settings of the weights from which a run starts: `init` of src/config.py."""

from dataclasses import dataclass
from typing import Any

from src.errors import require, require_choice

INIT_IMAGES = ("all", "held_out")


@dataclass
class InitConfig:
    run: str | None = None  # outputs/<run>: start from the weights of its evaluated checkpoint
    weights: str | None = None  # a file of weights, .pt or .safetensors: start from these
    freeze: Any = None  # features, or a list [layer1,layer2]: keep the weights of these parts, train a new head
    unfreeze_epochs: int | None = None  # 2: train the last frozen part after 2 epochs, the one before it after 4
    images: str = "all"  # held_out: use only images that `run` held out, which its weights have not seen
    cache: bool = True  # compute the frozen features of each image once, where they cannot change

    def __post_init__(self) -> None:
        require_choice("init.images", self.images, INIT_IMAGES)
        for name in ("run", "weights", "freeze"):
            require(getattr(self, name) != "", f"init.{name} must not be empty; null means none")
        require(
            not (self.run and self.weights),
            f"init.run={self.run} and init.weights={self.weights} both hold weights; leave one out",
        )
        parts = self.frozen_parts
        require(
            all(isinstance(part, str) and part for part in parts),
            f"init.freeze={self.freeze} must be a part of the model, features, or a list of parts: [layer1,layer2]",
        )
        require(
            not parts or bool(self.run or self.weights),
            f"init.freeze={self.freeze} needs weights to keep: init.run=outputs/<run> or init.weights=<file>",
        )
        require(
            self.images == "all" or bool(self.run),
            f"init.images={self.images} needs init.run=outputs/<run> to start from",
        )
        epochs = self.unfreeze_epochs
        require(epochs is None or epochs >= 1, f"init.unfreeze_epochs={epochs} must be at least 1, or null for never")
        require(
            epochs is None or bool(parts), f"init.unfreeze_epochs={epochs} does nothing without init.freeze; add that"
        )

    @property
    def frozen_parts(self) -> tuple[str, ...]:
        """The parts that `freeze` names, in its order."""
        if self.freeze is None:
            return ()
        return tuple(self.freeze) if isinstance(self.freeze, list) else (self.freeze,)

    @property
    def keeps_base(self) -> bool:
        """Whether the frozen parts stay those of the base run, so that checkpoints need not repeat them."""
        return bool(self.run and self.freeze) and self.unfreeze_epochs is None

    def frozen_at(self, epoch: int) -> tuple[str, ...]:
        """The parts that are not trained in `epoch`, from 0."""
        unfrozen = 0 if self.unfreeze_epochs is None else epoch // self.unfreeze_epochs
        return self.frozen_parts[: max(len(self.frozen_parts) - unfrozen, 0)]
