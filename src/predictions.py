"""test_logits.pt and val_logits.pt: logits, labels and class names of the test and validation images."""

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from src.data.dataset import CLASSES_SHAPE, Classes
from src.errors import require
from src.tensor_file import load_tensors, require_finite, save_tensors

ADVICE = "`python -m src.evaluate` computes its numbers anew from the checkpoint"


class Predictions(NamedTuple):
    """Logits (N, num_classes) float32 and labels (N,) int64, on the CPU."""

    logits: Tensor
    labels: Tensor
    classes: Classes


def save_predictions(path: Path, predictions: Predictions) -> None:
    logits, labels, classes = predictions
    save_tensors(path, {"logits": logits.clone(), "labels": labels, "classes": asdict(classes)})


def load_predictions(path: Path) -> Predictions:
    """Raises UserError where the file is missing, damaged, or its parts do not fit each other."""
    content = load_tensors(path, {"logits": Tensor, "labels": Tensor, "classes": CLASSES_SHAPE}, ADVICE)
    logits, labels, classes = content["logits"], content["labels"], Classes.from_saved(content["classes"], path)
    num_classes = len(classes.names)
    fits = logits.shape == (len(labels), num_classes) and logits.is_floating_point() and labels.dtype == torch.int64
    require(
        fits and labels.ndim == 1 and len(labels) > 0 and labels.min() >= 0 and labels.max() < num_classes,
        f"{path} is damaged: logits {tuple(logits.shape)}, labels {tuple(labels.shape)} and {num_classes} classes do "
        f"not fit each other; {ADVICE}",
    )
    require_finite({"logits": logits}, path, ADVICE)
    return Predictions(logits, labels, classes)
