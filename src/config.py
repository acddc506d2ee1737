"""What must hold across the fields of a config, and how the objects that it describes are built.

Importing this module costs no torch, so that `--help` and `--cfg job` answer at once.
"""

import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from src.errors import UserError, require
from src.overrides import key_of
from src.schemas import GROUPS, TYPED_NODES, DataConfig, TrainConfig, TrainerConfig

# How many arguments each open node is called with besides its own settings.
_NODES: dict[str, int] = {"data.source": 0, "model": 0, "augmentation": 0, "optimizer": 1, "scheduler": 2}


def check(config: DictConfig, overrides: Sequence[str] = (), schema: type = TrainConfig) -> None:
    """Raises UserError, before anything is built, for the first setting that cannot be meant.

    `overrides` are those of the command line: naming a choice that would do nothing is a mistake only there.
    """
    unknown = set(config) - {entry.name for entry in fields(schema)}
    require(not unknown, f"{', '.join(sorted(unknown))} is not a setting of a run")
    for name, node in TYPED_NODES.items():
        unknown = set(config[name]) - {entry.name for entry in fields(node)}
        require(not unknown, f"{', '.join(f'{name}.{key}' for key in sorted(unknown))} is not a setting")
    for name, positional in _NODES.items():
        check_signature(name, OmegaConf.select(config, name), positional)
    data, trainer = typed(config)
    OmegaConf.to_object(config.init)
    require(0 <= config.seed < 2**63, f"seed={config.seed} must not be negative, nor above 2**63 - 1")
    require(config.pause_at is None or config.pause_at >= 1, f"pause_at={config.pause_at} must be at least 1, or null")
    warmup = config.scheduler.get("warmup_epochs", 0)
    require(
        isinstance(warmup, int | float) and 0 <= warmup < trainer.epochs,
        f"scheduler.warmup_epochs={warmup} must lie below trainer.epochs={trainer.epochs}",
    )
    require(
        trainer.patience is None or data.chooses_checkpoint,
        f"trainer.patience={trainer.patience} needs images to choose by, which data.validation={data.validation} "
        "does not hold out; use data.validation=holdout or fold",
    )
    require(
        data.augment or not data.alternate_flip,
        "data.alternate_flip=true does nothing without data.augment=true; add that",
    )
    require(
        not (trainer.both_sides and config.init.freeze),
        "trainer.both_sides=true needs the images themselves, of which init.freeze keeps features; take one away",
    )
    for needed, holds, idle in (
        ("data.augment=true", data.augment, r"augmentation(\..*)?"),
        ("data.validation=fold", data.validation == "fold", r"data\.folds?"),
    ):
        named = [text.lstrip("+") for text in overrides if re.fullmatch(idle, key_of(text))]
        require(holds or not named, f"{' '.join(named)} does nothing without {needed}; add that")


def note_choices(config: DictConfig, choices: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Writes into `config` what was chosen and named to compose it: later comparisons speak of that."""
    config.choices = {group: choices.get(group) for group in GROUPS}
    config.named = sorted({key_of(text) for text in overrides} - set(GROUPS))


def typed(config: DictConfig) -> tuple[DataConfig, TrainerConfig]:
    """The typed nodes as dataclasses; raises UserError for a value out of its range."""
    return OmegaConf.to_object(config.data), OmegaConf.to_object(config.trainer)


def check_signature(name: str, node: DictConfig, positional: int = 0) -> None:
    """Raises UserError unless the node's settings are arguments of its `_target_`, and all that it needs."""
    if "_target_" not in node:
        raise UserError(f"{name} needs a _target_, the function or class that builds it.")
    try:
        signature = inspect.signature(pkgutil.resolve_name(node["_target_"]))
    except Exception as error:  # whatever importing a user's module may raise
        raise UserError(
            f"{name}._target_={node['_target_']} is no function or class to be imported: {error}."
        ) from error
    # `to_container` without resolving: what an interpolation stands for may be known only later.
    arguments = {key: None for key in OmegaConf.to_container(node, resolve=False) if not _is_directive(key)}
    try:
        signature.bind(*[None] * positional, **arguments)
    except TypeError as error:
        valid = ", ".join(list(signature.parameters)[positional:]) or "none"
        raise UserError(f"{name} ({node['_target_']}): {error}; its arguments are: {valid}.") from error
    for key, value in node.items_ex(resolve=False):
        for part in value if isinstance(value, ListConfig) else [value]:
            if isinstance(part, DictConfig) and "_target_" in part:
                check_signature(f"{name}.{key}", part)


def choice(config: DictConfig, group: str) -> str:
    """What a person calls the choice of `group`: its file's name, else the last part of its _target_."""
    if group == "augmentation" and not config.data.augment:
        return "off"
    node = config.data.source if group == "data" else config[group]
    return config.choices.get(group) or node["_target_"].rpartition(".")[2]


def build(config: DictConfig, name: str) -> Any:
    """The object that the node `name` describes, or with `_partial_` the function still to be called."""
    try:
        built = instantiate(OmegaConf.select(config, name), _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from error
        raise _refused(name, config, cause) from error
    if isinstance(built, partial):  # Hydra's own would examine the target again at every call, so at every step
        return partial(built.func, *built.args, **built.keywords)
    return built


def call(config: DictConfig, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls the function that `build` gave for a `_partial_` node; its refusal of a value names the node."""
    try:
        return function(*arguments)
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise _refused(name, config, error) from error


def _refused(name: str, config: DictConfig, cause: BaseException) -> UserError:
    target = OmegaConf.select(config, name)["_target_"]
    return UserError(f"{name} ({target}) refuses its settings: {' '.join(str(cause).split())}.")


def _is_directive(key: str) -> bool:
    return key.startswith("_") and key.endswith("_")
