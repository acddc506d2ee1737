"""Trained runs on one part of their data, alone and as an ensemble, for `src.evaluate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from src.calibration import Reliability, measure_reliability
from src.config import moved
from src.data.dataset import Classes
from src.errors import require
from src.metrics import Metrics, measure
from src.training.build import fingerprint_of, load_splits
from src.training.checkpoint import require_same_data
from src.training.finetune import describe_source
from src.training.trained_model import load_trained

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Outputs:
    """Logits (N, num_classes) float32 of images with labels (N,) int64; `flipped` are means with mirror images.

    The images are those at `indices` (N,) int64 of the training images of `source`; None: its test images.
    """

    logits: Tensor
    flipped: Tensor | None
    labels: Tensor
    classes: Classes
    source: Mapping[str, Any]
    indices: Tensor | None


@dataclass(frozen=True)
class EvaluatedRun:
    """A run, or an ensemble of runs, on one part of the data."""

    name: str
    checkpoint: str | None
    epoch: int | None
    outputs: Outputs
    temperature: float | None = None  # that the run fitted on its validation images
    own_top1: float | None = None  # in its result.json, of the same checkpoint

    @cached_property
    def metrics(self) -> Metrics:
        return measure(self.outputs.logits, self.outputs.labels, self.outputs.classes)

    @cached_property
    def tta_flip(self) -> Metrics | None:
        flipped = self.outputs.flipped
        return None if flipped is None else measure(flipped, self.outputs.labels, self.outputs.classes)

    @cached_property
    def calibrated(self) -> Metrics | None:
        """The metrics of logits / temperature."""
        if self.temperature is None:
            return None
        return measure(self.outputs.logits / self.temperature, self.outputs.labels, self.outputs.classes)

    @cached_property
    def reliability(self) -> Reliability:
        return measure_reliability(self.outputs.logits, self.outputs.labels)


def evaluate_saved_run(run: str, config: DictConfig) -> EvaluatedRun:
    """Evaluates a checkpoint of the run in folder `run` as `config`, an EvaluateConfig, says."""
    trained = load_trained(run, config.checkpoint, config.device, config.trust)
    moved_config = moved(trained.config, config.data.root)
    splits = load_splits(moved_config)
    require_same_data({"fingerprint": trained.fingerprint}, fingerprint_of(splits), trained.run_dir)
    split = "test" if config.split == "val" and trained.config.data.validation == "test" else config.split
    data, indices = {
        "test": (splits.test, None),
        "val": (splits.validation, splits.validation_indices),
        "train": (splits.train, splits.train_indices),
    }[split]
    require(data is not None, f"split={config.split}: {run} held no images out (data.validation=none)")
    logits = trained.logits(data.images)
    flipped = trained.average_mirrored(logits, data.images) if trained.flips(config.tta_flip) else None
    result = trained.run_dir.load_result()
    is_evaluated = result.get("evaluated") == trained.checkpoint
    return EvaluatedRun(
        run,
        trained.checkpoint,
        trained.epoch,
        Outputs(logits, flipped, data.labels, splits.classes, describe_source(moved_config), indices),
        (result.get("calibration") or {}).get("temperature") if is_evaluated and config.split == "test" else None,
        ((result.get("metrics") or {}).get(config.split) or {}).get("top1") if is_evaluated else None,
    )


def evaluate_ensemble(runs: Sequence[EvaluatedRun]) -> EvaluatedRun:
    """The mean of the runs' probabilities. Raises UserError for runs that were evaluated on different images."""
    first = runs[0].outputs
    for run in runs[1:]:
        require(
            _have_same_images(run.outputs, first),
            f"{run.name} and {runs[0].name} have other images or classes, so they make no ensemble",
        )
    flipped = None
    if all(run.outputs.flipped is not None for run in runs):
        flipped = _mean_log_probabilities([run.outputs.flipped for run in runs])
    logits = _mean_log_probabilities([run.outputs.logits for run in runs])
    return EvaluatedRun(ENSEMBLE, None, None, replace(first, logits=logits, flipped=flipped))


def _have_same_images(one: Outputs, other: Outputs) -> bool:
    """Equal labels are not enough: folds of equal classes have the same ones."""
    same_indices = one.indices is other.indices is None or (
        one.indices is not None and other.indices is not None and one.indices.equal(other.indices)
    )
    same_labels = one.labels.equal(other.labels) and one.classes == other.classes
    return same_indices and same_labels and one.source == other.source


def _mean_log_probabilities(logits: Sequence[Tensor]) -> Tensor:
    """log(mean of the probabilities) (N, num_classes), which are logits of the ensemble."""
    return torch.stack(list(logits)).log_softmax(dim=2).logsumexp(dim=0) - torch.tensor(len(logits)).log()
