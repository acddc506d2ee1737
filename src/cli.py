"""How every command starts and ends: Hydra around it, one sentence for a mistake, an honest exit code."""

import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from src.choices import CONFIG_DIR, SRC, choices
from src.config import GROUPS
from src.errors import Interrupted, UserError, explain_os_error, first_line, suggest
from src.explanations import explain
from src.overrides import COMMAND, allow_new_keys, is_override, key_of, quote_path
from src.resolvers import register_resolvers
from src.schemas import register_schemas
from src.terminal import outlive_terminal

FULL_ERROR = "HYDRA_FULL_ERROR"  # the environment variable by which users ask Hydra for tracebacks


def run_command(name: str, task: Callable[[DictConfig], None]) -> NoReturn:
    """Composes conf/<name>.yaml with the command line, calls `task` with it, once per job, and exits.

    The exit code is 0, 1 after a mistake or a failure in any job, 128 + the signal's number after an interruption.
    """
    failures: list[str] = []
    composed = False

    def job(config: DictConfig) -> None:
        nonlocal composed
        composed = True
        try:
            task(config)
        except (UserError, OSError, HydraException, OmegaConfBaseException) as error:
            failures.append(tell(error, name))

    outlive_terminal(forgive_all=name == "train")
    signal.signal(signal.SIGTERM, _interrupt)
    register_schemas()
    register_resolvers()
    register_plugins()
    wants_traceback = FULL_ERROR in os.environ
    os.environ[FULL_ERROR] = "1"  # Hydra then raises what went wrong instead of printing it in its own way
    try:
        sys.argv[1:] = prepare_arguments(sys.argv[1:], name)
        hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=name)(job)()
    except (HydraException, OmegaConfBaseException, UserError) as error:
        sys.exit(f"error: {explain(error, name)}")
    except OSError as error:
        sys.exit(f"error: {explain_os_error(error)}")
    except Interrupted as interruption:
        sys.exit(128 + interruption.signal_number)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        if composed or wants_traceback:
            raise
        sys.exit(f"error: {explain_unreadable(sys.argv[1:], error)}")
    finally:
        if not wants_traceback:
            os.environ.pop(FULL_ERROR, None)
    sys.exit(1 if failures else 0)


def tell(error: Exception, name: str) -> str:
    """Prints the one sentence of an error of a job of conf/<name>.yaml; returns it."""
    sentence = explain_os_error(error) if isinstance(error, OSError) else explain(error, name)
    from src.screen import say_error  # imports Rich

    say_error(f"error: {sentence}")
    return sentence


def explain_unreadable(arguments: Sequence[str], error: Exception) -> str:
    """One sentence for an error that is none of Hydra's own, for settings that it cannot take."""
    reason = f"{type(error).__name__}: {first_line(error).rstrip('.')}"
    return f"{shlex.join(arguments)} cannot be read ({reason}); {FULL_ERROR}=1 shows where."


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """SIGTERM outside of a training: ends the command in order, with the table of a sweep."""
    raise Interrupted(number)


def prepare_arguments(arguments: Sequence[str], name: str) -> list[str]:
    """What Hydra's parser needs: flags before overrides, `~` expanded, leave to add keys where a target takes them.

    Raises UserError for what Hydra would answer with a traceback or obey to the harm of the run folders.
    """
    if COMMAND not in os.environ:  # else a sweep has typed them
        _check_hydra_settings(arguments, name)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if not argument.strip("+~"):
            raise UserError(f"{argument} is not an override: write group=choice or group.setting=value; see --help.")
        if argument.startswith("~") and key_of(argument) in ("model", "data", "optimizer", "scheduler", "loss"):
            raise UserError(f"{argument} leaves no choice; see --help for those of {key_of(argument)}.")
        if "=" in argument and key.lstrip("+") in GROUPS:
            _check_choice(key.lstrip("+"), value)
        if key_of(argument) == "hydra.job.chdir" and value.lower() not in ("false", "null"):
            raise UserError(f"{argument} is not supported, run folders are relative to here; leave it out.")
    expanded = [re.sub(r"(?<=[=,\['\"])~(?=/)", str(Path.home()), argument) for argument in arguments]
    if name == "predict":
        expanded = [quote_path(text) if key_of(text) in ("images", "to", "sheet") else text for text in expanded]
    return sorted(map(allow_new_keys, expanded), key=is_override)


def _check_hydra_settings(arguments: Sequence[str], name: str) -> None:
    """Raises UserError for settings of Hydra that would do nothing, or harm."""
    sweeps = "-m" in arguments or "--multirun" in arguments
    if sweeps and name != "train":
        raise UserError(f"src.{name} has no sweeps; leave --multirun out.")
    for argument in arguments:
        if argument.startswith(("--config-name", "-cn")) or argument == "hydra/sweeper=basic":
            raise UserError(f"{argument} is not supported; leave it out (your own files: --config-dir).")
        key, value = key_of(argument), argument.partition("=")[2]
        if key.startswith("hydra.") and value in ("???", ""):
            raise UserError(f"{argument} has no value; set it, or leave it out.")
        if key in ("hydra.sweep.subdir", "hydra.output_subdir"):
            raise UserError(f"{argument} is not supported, run folders are named here; leave it out.")
        if key == "hydra.run.dir" and name not in ("train", "report", "compare"):
            raise UserError(f"{argument} does nothing here, nothing is written; leave it out.")


def _check_choice(group: str, value: str) -> None:
    """Raises UserError for what Hydra takes, or answers with a traceback, and is no choice."""
    if (value in ("", "null") or re.fullmatch(r"\[.*\]", value)) and group != "experiment":
        raise UserError(f"{group}={value} names no choice; see --help for those of {group}.")
    is_word = re.fullmatch(r"[+-]?[\d.]+(e\d+)?|true|false", value, re.IGNORECASE)
    if is_word or value.endswith(".yaml") or value.rpartition("/")[2].startswith("_"):
        raise UserError(f"{group}={value} does not exist{suggest(value.removesuffix('.yaml'), choices(group))}")


def register_plugins() -> None:
    """Lets Hydra find the sweepers and launchers of src/plugins, a part of the namespace package `hydra_plugins`.

    hydra/launcher=joblib is stored here, after the installed plugins, so that it replaces hydra-joblib-launcher's.
    """
    if (folder := str(SRC / "plugins")) not in sys.path:
        sys.path.append(folder)
    Plugins.instance()  # reads the installed plugins
    launcher = {"_target_": "hydra_plugins.cifarlab.Subprocesses", "n_jobs": "${jobs_at_once:}"}
    ConfigStore.instance().store(group="hydra/launcher", name="joblib", node=launcher)
