"""A choice on the command line replaces that of an experiment, together with the settings that the experiment gave it.

Hydra alone merges the experiment's settings into the new choice: Adam would get the lr of Muon.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from src.choices import config_folders
from src.overrides import key_of


def replace_choices(config: DictConfig, groups: Sequence[str], overrides: Sequence[str]) -> None:
    """Sets those `groups` in which the command line's `overrides` choose otherwise than their experiment."""
    named = {key_of(text): text.partition("=")[2] for text in overrides}
    chosen = [group for group in groups if group in named]
    if not chosen or "experiment" not in named:
        return
    experiment_choices = _compose(f"experiment={named['experiment']}").hydra.runtime.choices
    for group in chosen:
        if named[group] != experiment_choices[group]:
            settings = [text for text in overrides if key_of(text).startswith(f"{group}.")]
            with open_dict(config):
                config[group] = _compose(f"{group}={named[group]}", *settings)[group]  # a copy


def _compose(*overrides: str) -> DictConfig:
    """What Hydra composes from `overrides` alone; only to be read."""
    return _load(tuple(config_folders()), overrides)


@functools.lru_cache(maxsize=16)  # the jobs of a sweep ask for the same again
def _load(_folders: tuple[Path, ...], overrides: tuple[str, ...]) -> DictConfig:
    return GlobalHydra.instance().config_loader().load_configuration("train", list(overrides), RunMode.RUN)
