"""From a config that Hydra composed to the checked settings of a run.

Importing this module does not import torch, so that `--help` and `--cfg job` answer at once.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config import TYPED_NODES, DataConfig, RunConfig
from src.errors import require
from src.overrides import key_of
from src.targets import check_target


def parse_config(config: DictConfig, overrides: Sequence[str] = ()) -> RunConfig:
    """The checked settings of a run, from a config that Hydra composed with the command line's `overrides`.

    Raises UserError, before anything is built, for the first invalid setting. Naming a setting that would
    do nothing is a mistake only on the command line.
    """
    _refuse_unknown_keys(config)
    missing = sorted(OmegaConf.missing_keys(config))
    require(not missing, f"{', '.join(missing)} has no value (???); set it, as in {'=... '.join(missing)}=...")
    internal = _named(overrides, r".+\._(?!target_|partial_)\w*(\..*)?")
    require(not internal, f"{' '.join(internal)} is internal to Hydra and not a setting; leave it out")
    parsed = OmegaConf.to_object(config)
    run = RunConfig(**{entry.name: getattr(parsed, entry.name) for entry in fields(RunConfig)})
    run = replace(run, data=replace(run.data, augment=_augments(run.data.augment, overrides)))
    _refuse_idle_overrides(run.data, overrides)
    check_nodes(run, nodes_of(run))
    return run


def nodes_of(config: RunConfig) -> dict[str, dict[str, Any]]:
    """The nodes of a run with a `_target_`, by their dotted names."""
    nodes = {name: getattr(config, name) for name in ("model", "augmentation", "optimizer", "scheduler", "loss")}
    return {**nodes, "data.source": config.data.source, **{f"logger.{name}": n for name, n in config.logger.items()}}


def check_nodes(config: RunConfig, names: Iterable[str]) -> None:
    """Raises UserError where a setting of the nodes `names` is not one of its target's arguments."""
    nodes, num_positional = nodes_of(config), {"optimizer": 1, "scheduler": 2}  # what the trainer adds: weights; times
    for name in names:
        check_target(nodes[name], name, num_positional.get(name, 0))
        is_partial = nodes[name].get("_partial_", False)
        require(
            name == "loss" or is_partial == (name in num_positional),
            f"{name}._partial_={is_partial} is wrong: true is for optimizer and scheduler, whose arguments the trainer "
            "completes, and for losses that are functions",
        )


def _refuse_unknown_keys(config: DictConfig) -> None:
    schema = OmegaConf.get_type(config)
    unknown = set(config) - {entry.name for entry in fields(schema)}
    require(not unknown, f"{', '.join(sorted(unknown))} is not a setting of a run")
    for name, node in TYPED_NODES.items():
        unknown = set(config[name]) - {entry.name for entry in fields(node)}
        require(not unknown, f"{', '.join(f'{name}.{key}' for key in sorted(unknown))} is not a setting")


def _named(overrides: Sequence[str], pattern: str) -> list[str]:
    return [text.lstrip("+") for text in overrides if re.fullmatch(pattern, key_of(text))]


def _augments(augment: bool | None, overrides: Sequence[str]) -> bool:
    """Naming an augmentation on the command line switches it on."""
    named = _named(overrides, r"augmentation(\..*)?")
    require(augment is not False or not named, f"{' '.join(named)} does nothing with data.augment=false; leave one out")
    return bool(named) if augment is None else augment


def _refuse_idle_overrides(data: DataConfig, overrides: Sequence[str]) -> None:
    for needed, holds, idle in (
        ("data.validation=fold", data.validation == "fold", r"data\.folds?"),
        ("data.normalize=true", data.normalize, r"data\.(mean|std)"),
        *(
            ("data=folder", key in data.source, rf"data\.{key}")
            for key in ("skip_broken", "fit", "cache", "test_share")
        ),
    ):
        named = _named(overrides, idle)
        require(holds or not named, f"{' '.join(named)} does nothing without {needed}; add that")
