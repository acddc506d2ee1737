"""Starting from another run (`init.run`): which images it has seen, and which it has held out (`init.images`)."""

import os
from typing import Any

import torch
from torch import Tensor

from src.config import RunConfig
from src.data.dataset import ImageDataset
from src.data.split import Splits, split
from src.errors import require
from src.run_dir import find_run


def split_as_configured(dataset: ImageDataset, config: RunConfig) -> Splits:
    """The run's split: of all training images or, with init.images=held_out, of those that the base run held out."""
    if config.init.images == "all":
        return split(dataset, config.data)
    base = find_run(config.init.run, "init.run")
    base_config, choices = base.load_config(), base.load_result().get("choices", {})
    require(
        same_data(config, base_config),
        f"init.images=held_out needs the data of init.run={base.path}: data={choices.get('data')} "
        f"data.root={base_config.data.root}",
    )
    base_splits, counts = split_as_configured(dataset, base_config), base.load_result().get("data", {})
    require(
        counts.get("train_images", len(base_splits.train)) == len(base_splits.train),
        f"init.images=held_out: the images have changed since init.run={base.path} was trained on "
        f"{counts.get('train_images', 0):,} of them; restore them, or train the base run again",
    )
    pool = base_splits.validation_indices
    require(
        pool is not None,
        f"init.run={config.init.run} held no images out; train a base run that does (data.holdout=250), or set "
        "init.images=all, which marks the results",
    )
    return split(dataset, config.data, pool)


def seen_by_base(dataset: ImageDataset, config: RunConfig) -> Tensor:
    """Indices (int64) of the training images that the base run, and the base of the base, were trained on."""
    if config.init.run is None:
        return torch.empty(0, dtype=torch.int64)
    base = find_run(config.init.run, "init.run").load_config()
    if not same_data(config, base):
        return torch.empty(0, dtype=torch.int64)
    return torch.cat([split_as_configured(dataset, base).train_indices, seen_by_base(dataset, base)]).unique()


def count_seen_by_base(splits: Splits, config: RunConfig) -> int:
    """How many validation images the base run was trained on: they make its heads look better than they are."""
    if splits.validation_indices is None:
        return 0
    return int(torch.isin(splits.validation_indices, seen_by_base(splits.dataset, config)).sum())


def same_data(config: RunConfig, other: RunConfig) -> bool:
    """Whether two runs read the same images."""
    return describe_source(config) == describe_source(other)


def describe_source(config: RunConfig) -> dict[str, Any]:
    """The settings that decide which images a run reads: at any size, and CIFAR from any folder."""
    is_cifar = config.data.source["_target_"].startswith("src.data.cifar.")
    ignored = {"image_size", "fit", "skip_broken", "cache", *(["root"] if is_cifar else [])}
    source = {key: value for key, value in config.data.source.items() if key not in ignored}
    if "root" in source:
        source["root"] = os.path.realpath(os.path.expanduser(source["root"]))
    return source
