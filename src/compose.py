"""Composes the config of a command inside of a program, with the checks of the command line; for src/api.py."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import compose, initialize_config_dir
from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, flag_override
from omegaconf.errors import OmegaConfBaseException

from src.choices import CONFIG_DIR
from src.cli import explain_unreadable, prepare_arguments
from src.errors import UserError, explain_os_error, require
from src.explanations import explain
from src.overrides import is_override, key_of
from src.resolvers import register_resolvers
from src.schemas import register_schemas


@contextmanager
def composed(name: str, overrides: Sequence[str]) -> Iterator[tuple[DictConfig, HydraConf]]:
    """The settings of conf/<name>.yaml with `overrides`, and Hydra's own part of them.

    Both can be resolved within it. Afterwards Hydra is in the state in which it was before: a caller may use Hydra too.
    Raises UserError for what the command line refuses.
    """
    flags = [text for text in overrides if not is_override(text) or key_of(text) == "hydra.mode"]
    require(not flags, f"{' '.join(flags)} belongs to the command line; leave it out")
    register_schemas()
    register_resolvers()
    global_hydra, hydra_config = GlobalHydra.instance(), HydraConfig.instance()
    before = global_hydra.hydra, hydra_config.cfg
    global_hydra.clear()
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            whole = _compose(name, overrides)
            hydra_config.set_config(whole)
            config = copy.deepcopy(whole)
            with flag_override(config, ["struct", "readonly"], False):
                del config["hydra"]
            yield config, whole.hydra
    finally:
        GlobalHydra.instance().hydra, hydra_config.cfg = before


def _compose(name: str, overrides: Sequence[str]) -> DictConfig:
    try:
        return compose(name, prepare_arguments(overrides, name), return_hydra_config=True)
    except (UserError, HydraException, OmegaConfBaseException):
        raise
    except Exception as error:  # of Hydra, for settings that it cannot take
        raise UserError(explain_unreadable(overrides, error)) from error


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Raises UserError, with the sentence of the command line, for what Hydra or the system raises within it."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, name)) from error
    except OSError as error:
        raise UserError(explain_os_error(error)) from error
