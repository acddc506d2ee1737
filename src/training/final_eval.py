"""The end of a run: one checkpoint is evaluated on all images."""

import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from src.calibration import fit_temperature
from src.config import RunConfig
from src.data.image_rows import ImageRows
from src.data.split import Splits
from src.formatting import format_table, percent
from src.metrics import Metrics, measure
from src.training.checkpoint import load_checkpoint
from src.training.divergence import divergence
from src.training.progressive_resizing import step_cost

if TYPE_CHECKING:
    from src.training.trainer import Trainer

TITLES = {"train": "training, no augmentation", "val": "validation", "test": "test"}


class Calibration(NamedTuple):
    """A temperature fitted on the validation images, and the test metrics of logits / temperature."""

    temperature: float
    test: Metrics

    def as_result(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "test": {"loss": self.test.loss, "ece": self.test.ece}}


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one checkpoint on parts of the data: "train", "val", "test".

    `tta_flip` are those of the mean logits of each image and its mirror image (test-time augmentation).
    """

    checkpoint: str
    epoch: int
    step: int
    is_epoch_end: bool  # the weights are those at the end of `epoch`, not from within the next
    metrics: dict[str, Metrics]
    tta_flip: dict[str, Metrics]
    logits: dict[str, Tensor]  # of "val", where images are held out, and "test": (N, num_classes) float32 on the CPU
    calibration: Calibration | None  # None where no images are held out

    def as_result(self) -> dict[str, Any]:
        """The part of result.json that it makes."""
        return {
            "evaluated": self.checkpoint,
            "evaluated_epoch": self.epoch,
            "evaluated_step": self.step,
            "metrics": {part: asdict(self.metrics[part]) if part in self.metrics else None for part in TITLES},
            "tta_flip": {part: asdict(metrics) for part, metrics in self.tta_flip.items()} or None,
            "calibration": self.calibration and self.calibration.as_result(),
        }


def evaluate_at_pause(trainer: "Trainer") -> Evaluation:
    """Evaluates the checkpoint so far on the validation images alone: a search decides by it which runs continue."""
    evaluated, metrics = load_eval_weights(trainer), {}
    if trainer.validation:
        logits, labels = _logits(trainer, trainer.validation.images), trainer.validation.labels.cpu()
        metrics["val"] = measure(logits, labels, trainer.splits.classes)
    return Evaluation(*evaluated, metrics, tta_flip={}, logits={}, calibration=None)


def evaluate_run(trainer: "Trainer") -> Evaluation:
    """Evaluates the best checkpoint, or the last where none was chosen, on all images.

    Raises UserError for a loss that is not finite.
    """
    splits, config = trainer.splits, trainer.config
    evaluated = load_eval_weights(trainer)
    parts = {"train": splits.train, "val": splits.validation, "test": splits.test}
    parts = {part: data for part, data in parts.items() if data is not None}
    logits = {part: _logits(trainer, data.images) for part, data in parts.items()}
    metrics = {part: measure(logits[part], data.labels, splits.classes) for part, data in parts.items()}
    if config.data.validation == "test":
        metrics["val"] = metrics["test"]
    tta_flip = {}
    if config.trainer.tta_flip:
        for part in parts.keys() - {"train"}:
            mean_logits = (logits[part] + _logits(trainer, parts[part].images, mirrored=True)) / 2
            tta_flip[part] = measure(mean_logits, parts[part].labels, splits.classes)
    if not all(math.isfinite(part.loss) for part in metrics.values()):
        raise divergence(trainer)
    calibration = None
    if splits.validation:
        temperature = fit_temperature(logits["val"], splits.validation.labels)
        calibrated = measure(logits["test"] / temperature, splits.test.labels, splits.classes)
        calibration = Calibration(temperature, calibrated)
    del logits["train"]
    return Evaluation(*evaluated, metrics, tta_flip, logits, calibration)


def load_eval_weights(trainer: "Trainer") -> tuple[str, int, int, bool]:
    """Loads the best checkpoint's weights, or the last's where none was chosen.

    Returns the first fields of `Evaluation`: the checkpoint's name, its epoch and step, whether it ends that epoch.
    """
    read = None
    if trainer.ranks.is_leader:
        chosen = trainer.config.data.holds_out and trainer.run_dir.checkpoint("best").exists()
        name = "best" if chosen else "last"
        saved = load_checkpoint(trainer.run_dir.checkpoint(name))
        read = saved["model"], (name, saved["epoch"], saved["step"], saved["batch"] == 0)
    weights, evaluated = trainer.ranks.share(read)
    trainer.classifier.load_trained_state(weights)
    return evaluated


def num_evaluated(splits: Splits, tta_flip: bool) -> int:
    """How many images the final evaluation passes through the model."""
    unseen = len(splits.validation or ()) + len(splits.test)
    return len(splits.train) + unseen * (2 if tta_flip else 1)


def forward_share(config: RunConfig) -> float:
    """A forward pass as a share of a training step; SAM takes two passes forward and backward."""
    return 1 / 6 if config.trainer.sam_rho else 1 / 3


def evaluation_seconds(trainer: "Trainer") -> float:
    """Time of an epoch's validation and of the final evaluation, at the speed of the epoch under way."""
    trained, full_size = trainer.meter, trainer.config.data.image_size
    num_images = len(trainer.validation or ()) + num_evaluated(trainer.splits, trainer.config.trainer.tta_flip)
    seconds = num_images * trained.seconds / trained.images
    seconds *= forward_share(trainer.config)
    seconds *= step_cost(full_size) / step_cost(trainer.image_size() or full_size)
    return min(seconds, 30 * trainer.config.trainer.max_minutes)  # at most half: the first steps are slow and mislead


def metrics_table(metrics: dict[str, Metrics], tta_flip: dict[str, Metrics] | None = None) -> str:
    """One row per part of the data; `tta_flip` has a column of its own."""
    header, align = ["images", "number", "loss", "top1", "top5", "superclass", "ECE"], "<>>>>>>"
    rows = [
        [TITLES[part], f"{m.images:,}", f"{m.loss:.4f}", *map(percent, (m.top1, m.top5, m.superclass, m.ece))]
        for part in TITLES
        if (m := metrics.get(part))
    ]
    if tta_flip:
        header, align = [*header, "top1, tta_flip"], f"{align}>"
        flipped = (tta_flip.get(part) for part in TITLES if metrics.get(part))
        rows = [[*row, percent(m.top1) if m else "-"] for row, m in zip(rows, flipped, strict=True)]
    return format_table(header, rows, align)


def describe_calibration(temperature: float, calibrated: Metrics, metrics: Metrics) -> str:
    """What the temperature changes on the test images, in one sentence of two lines."""
    return (
        f"with temperature {temperature:.3f}, fitted on the validation images: test loss {metrics.loss:.4f} -> "
        f"{calibrated.loss:.4f},\nexpected calibration error (ECE) {percent(metrics.ece)} -> {percent(calibrated.ece)}"
    )


def _logits(trainer: "Trainer", images: Tensor | ImageRows, mirrored: bool = False) -> Tensor:
    """On the CPU. Everything was saved at the end of training: an interrupted evaluation is simply done again."""
    raise_if_asked = partial(trainer.stop.raise_if_asked, trainer.ranks)
    return trainer.classifier.logits(images, raise_if_asked, mirrored).cpu()
