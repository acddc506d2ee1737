"""The outputs of a frozen part, computed once per image and kept in the base run's folder: a head trains on them."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from src.config import RunConfig
from src.data.augment import Augmentation
from src.data.dataset import ImageDataset, LabeledImages, fingerprint
from src.data.image_rows import ImageRows
from src.data.split import Splits
from src.errors import require
from src.lock import hold_lock
from src.models.convnet import ConvNet
from src.run_dir import find_run
from src.tensor_file import load_tensors, require_finite, save_tensors
from src.training.inference import Classifier, compute_outputs
from src.training.messages import log
from src.training.ranks import ALONE

MAX_BYTES = 8 << 30  # of features: more is not worth its memory
NO_AUGMENTATION = f"{Augmentation.__module__}.{Augmentation.__qualname__}"


def can_cache(model: nn.Module, config: RunConfig, num_images: int) -> bool:
    """Whether a ConvNet gives an image the same features in each epoch, and those of `num_images` fit in MAX_BYTES.

    Dropout inside the frozen part does not matter: like its batch norms it stays in evaluation mode.
    """
    init = config.init
    if not (init.keeps_base and init.frozen_parts == ("features",) and init.cache and isinstance(model, ConvNet)):
        return False
    if config.data.augment and config.augmentation["_target_"] != NO_AUGMENTATION:
        return False
    if config.trainer.progressive_resizing or config.trainer.tta_flip:  # change images, not features
        return False
    size = config.data.image_size
    image = torch.zeros(1, 3, size, size, device=next(model.parameters()).device)
    with torch.no_grad():
        return num_images * model.features.eval()(image).numel() * image.element_size() <= MAX_BYTES


def load_or_compute_features(
    splits: Splits, classifier: Classifier, config: RunConfig, between_batches: Callable[[], None] = lambda: None
) -> Splits:
    """The same splits with features (N, C, H, W) float32 in place of images.

    The features of the whole data set are computed by the first run that needs them, for all runs over this base run,
    and kept in its folder as features/<hash of weights, images and preprocessing>.pt. `between_batches` may raise to
    end early.
    """
    for data in (splits.dataset.train, splits.dataset.test):
        if isinstance(data.images, ImageRows):  # all at once: the fingerprint would read them in small pieces
            data.images.cache.fill(data.images.indices, between_batches)
    folder = find_run(config.init.run, "init.run").path / "features"
    path = folder / f"{_key(splits.dataset, classifier, config)}.pt"
    if not path.exists():  # else the folder may be one that only others may write
        _make_writable(folder)
        with hold_lock(folder / ".lock", between_batches):
            if not path.exists():
                log.info(f"computing the features of all images, once for all runs over {config.init.run} ...")
                _compute(path, splits.dataset, classifier, between_batches)
    features = load_tensors(path, {"train": Tensor, "test": Tensor}, "remove it: it is computed anew")
    require_finite(features, path, "remove it: it is computed anew")

    def of(indices: Tensor, data: LabeledImages) -> LabeledImages:
        return LabeledImages(features["train"].index_select(0, indices), data.labels)

    return replace(
        splits,
        train=of(splits.train_indices, splits.train),
        validation=None if splits.validation is None else of(splits.validation_indices, splits.validation),
        test=LabeledImages(features["test"].clone(), splits.test.labels),
    )


def _make_writable(folder: Path) -> None:
    """Makes the folder. Raises UserError where this user may not write there."""
    may_write = os.access(folder if folder.exists() else folder.parent, os.W_OK)
    require(may_write, f"{folder} may not be written; set init.cache=false, which keeps no features")
    folder.mkdir(exist_ok=True)


def _compute(path: Path, dataset: ImageDataset, classifier: Classifier, between_batches: Callable[[], None]) -> None:
    part, preprocess = classifier.model.features, classifier.preprocess
    placement = replace(classifier.placement, ranks=ALONE)  # one rank computes, the others wait
    features = {
        name: compute_outputs(part, data.images, preprocess, placement, between_batches).contiguous().cpu()
        for name, data in (("train", dataset.train), ("test", dataset.test))
    }
    save_tensors(path, features)


def _key(dataset: ImageDataset, classifier: Classifier, config: RunConfig) -> str:
    data, placement = fingerprint(dataset.train, dataset.test), classifier.placement
    is_tf32 = placement.device.type == "cuda" and torch.backends.cudnn.conv.fp32_precision == "tf32"
    kernels = "tf32" if is_tf32 else placement.autocast_dtype
    preprocessing = f"{config.data.pixel_mean} {config.data.pixel_std} {kernels} {placement.device.type}"
    described = f"{data} {classifier.frozen_hash} {classifier.model.features} {preprocessing}"
    return hashlib.sha256(described.encode()).hexdigest()[:16]
