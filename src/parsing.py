"""From a config that Hydra composed to the checked settings of a run.

Importing this module does not import torch, so that `--help` and `--cfg job` answer at once.
"""

import inspect
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from src.config import TYPED_NODES, DataConfig, RunConfig
from src.errors import require
from src.nodes import leaves
from src.overrides import key_of
from src.replaced_choices import replace_choices
from src.targets import check_target

GROUPS_WITH_TARGET = ("model", "augmentation", "optimizer", "scheduler", "loss")


def parse_config(config: DictConfig, overrides: Sequence[str] = ()) -> RunConfig:
    """The checked settings of a run, from a config that Hydra composed with the command line's `overrides`.

    Raises UserError, before anything is built, for the first invalid setting. Naming a setting that would
    do nothing is a mistake only on the command line.
    """
    _refuse_unknown_keys(config)
    replace_choices(config, GROUPS_WITH_TARGET, overrides)
    for name in (*GROUPS_WITH_TARGET, "data.source"):
        if f"{name}._target_" in map(key_of, overrides):
            _drop_settings_of_choice(OmegaConf.select(config, name), name, overrides)
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


def separate_lr_of(optimizer: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """The optimizer's own settings, and optimizer.lr_of: learning rates by part, {"features.0": 0.01}.

    Raises UserError for a value that is no number of 0 or more.
    """
    own = {key: value for key, value in optimizer.items() if key != "lr_of"}
    given = optimizer.get("lr_of") or {}
    require(isinstance(given, Mapping), f"optimizer.lr_of={given} must name parts: optimizer.lr_of.features=0.01")
    lr_of = dict(leaves(given))
    for part, lr in lr_of.items():
        is_number = isinstance(lr, int | float) and not isinstance(lr, bool)
        require(is_number and lr >= 0, f"optimizer.lr_of.{part}={lr} must be a learning rate, a number of 0 or more")
    return own, lr_of


def _drop_settings_of_choice(node: DictConfig, name: str, overrides: Sequence[str]) -> None:
    """Leaves a node whose _target_ is on the command line only settings that are meant for that target.

    These are the settings that the command line names, and of the others those that the target takes. Of a model they
    must also follow from other settings, as num_classes: ${data.num_classes} does: another network may call its own
    settings by the same names.
    """
    named = [key_of(text) for text in overrides]
    try:
        taken = inspect.signature(pkgutil.resolve_name(node["_target_"])).parameters
    except (Exception, SystemExit):  # `check_target` says what is wrong with it
        taken = {}
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    for key in list(node):
        is_named = any(text == f"{name}.{key}" or text.startswith(f"{name}.{key}.") for text in named)
        if name == "model":
            follows = OmegaConf.is_interpolation(node, key)
            is_meant = follows and (key in taken or (takes_all and key == "num_classes"))
        else:
            is_meant = key in taken or takes_all
        if not (is_named or is_meant or str(key).startswith("_")):
            with open_dict(node):
                del node[key]


def nodes_of(config: RunConfig) -> dict[str, dict[str, Any]]:
    """The nodes of a run with a `_target_`, by their dotted names."""
    nodes = {name: getattr(config, name) for name in GROUPS_WITH_TARGET}
    return {**nodes, "data.source": config.data.source, **{f"logger.{name}": n for name, n in config.logger.items()}}


def check_nodes(config: RunConfig, names: Iterable[str]) -> None:
    """Raises UserError where a setting of the nodes `names` is not one of its target's arguments."""
    nodes, num_positional = nodes_of(config), {"optimizer": 1, "scheduler": 2}  # what the trainer adds: weights; times
    for name in names:
        node = separate_lr_of(nodes[name])[0] if name == "optimizer" else nodes[name]
        check_target(node, name, num_positional.get(name, 0))
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
            ("data=folder, csv or parquet", key in data.source, rf"data\.{key}")
            for key in ("skip_broken", "fit", "cache", "test_share")
        ),
    ):
        named = _named(overrides, idle)
        require(holds or not named, f"{' '.join(named)} does nothing without {needed}; add that")
