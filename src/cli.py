"""How every command starts and ends: Hydra around it, one sentence for a mistake, an honest exit code."""

import difflib
import os
import re
import secrets
import shlex
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.config import GROUPS, TYPED_NODES
from src.errors import Interrupted, UserError, explain_os_error, first_line
from src.overrides import COMMAND, allow_new_keys, is_override, key_of
from src.run_dir import find_run
from src.schemas import SCHEMAS, register_schemas
from src.terminal import outlive_terminal

FULL_ERROR = "HYDRA_FULL_ERROR"  # the environment variable by which users ask Hydra for tracebacks
SRC = Path(__file__).resolve().parent
CONFIG_DIR = next(path for path in (SRC / "conf", SRC.parent / "conf") if path.is_dir())  # installed wheel, or checkout


def run_command(name: str, task: Callable[[DictConfig], None]) -> NoReturn:
    """Composes conf/<name>.yaml with the command line, calls `task` with it, once per job, and exits.

    The exit code is 0, 1 after a mistake or a failure in any job, 128 + the signal's number after an interruption.
    """
    failures: list[str] = []
    tasks: list[DictConfig] = []

    def job(config: DictConfig) -> None:
        tasks.append(config)
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
        if tasks or wants_traceback:
            raise
        reason = (
            f"{type(error).__name__}: {first_line(error).rstrip('.')}"  # of Hydra, for settings that it cannot take
        )
        sys.exit(f"error: {shlex.join(sys.argv[1:])} cannot be read ({reason}); {FULL_ERROR}=1 shows where.")
    finally:
        if not wants_traceback:
            os.environ.pop(FULL_ERROR, None)
    sys.exit(1 if failures else 0)


def tell(error: Exception, name: str) -> str:
    """Prints the one sentence of an error of a job of conf/<name>.yaml; returns it."""
    sentence = explain_os_error(error) if isinstance(error, OSError) else explain(error, name)
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    return sentence


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
        raise UserError(f"{group}={value} does not exist{_suggest(value.removesuffix('.yaml'), choices(group))}")


def config_folders() -> list[Path]:
    """conf/ and, where the command line names one, --config-dir."""
    if not GlobalHydra.instance().is_initialized():
        return [CONFIG_DIR]
    search_path = GlobalHydra.instance().config_loader().get_search_path().get_path()
    added = [element.path for element in search_path if element.provider == "command-line"]
    return [CONFIG_DIR, *(Path(path.removeprefix("file://")) for path in added)]


def choices(group: str) -> list[str]:
    """The choices of a config group, those of --config-dir too: "course2021/deep" and the like."""
    folders = [folder / group for folder in config_folders()]
    paths = {path.relative_to(folder) for folder in folders for path in folder.rglob("*.yaml")}
    return sorted(path.with_suffix("").as_posix() for path in paths if not path.name.startswith("_"))


def register_plugins() -> None:
    """Lets Hydra find our sweepers and launcher: src/plugins holds a part of its namespace package `hydra_plugins`.

    hydra/launcher=joblib is stored here, after the installed plugins, so that it replaces hydra-joblib-launcher's.
    """
    if (folder := str(SRC / "plugins")) not in sys.path:
        sys.path.append(folder)
    Plugins.instance()  # reads the installed plugins
    launcher = {"_target_": "hydra_plugins.cifarlab.Subprocesses", "n_jobs": "${jobs_at_once:}"}
    ConfigStore.instance().store(group="hydra/launcher", name="joblib", node=launcher)


def register_resolvers() -> None:
    """The functions that configs call. Run folders end in random digits: runs of the same second must not share one."""
    for resolver in (run_folder, sweep_folder, report_folder, compare_folder, jobs_at_once, group_choices):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, use_cache=True, replace=True)


def run_folder(resume: str | None, model: str, experiment: str | None) -> str:
    """outputs/2026-11-23_21-30-01_deep_3fa9, or the folder of the run to resume."""
    if resume is None:
        return f"outputs/{_now()}_{(experiment or model).replace('/', '-')}_{secrets.token_hex(3)}"
    return str(find_run(resume, "resume").path)


def sweep_folder() -> str:
    """outputs/2026-11-23_21-30-01_sweep_3fa9, which holds the folders of its jobs."""
    return f"outputs/{_now()}_sweep_{secrets.token_hex(3)}"


def report_folder() -> str:
    """outputs/2026-11-23_21-30-01_report_3fa9."""
    return f"outputs/{_now()}_report_{secrets.token_hex(3)}"


def compare_folder() -> str:
    """outputs/2026-11-23_21-30-01_compare_3fa9."""
    return f"outputs/{_now()}_compare_{secrets.token_hex(3)}"


def jobs_at_once() -> int:
    """How many runs share this machine well: one per GPU, but two on a single one, which small networks leave idle."""
    import torch

    gpus = torch.cuda.device_count()
    return max(2, gpus) if gpus else os.cpu_count() or 1


def group_choices(group: str) -> str:
    """The choices of a config group, indented for --help."""
    return textwrap.fill(", ".join(choices(group)), 72).replace("\n", "\n    ")


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def explain(error: BaseException, name: str) -> str:
    """One sentence for a config, conf/<name>.yaml, that could not be composed: what is wrong, what would be right."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, UserError):
            return str(cause)
        if isinstance(cause, MissingConfigException) and cause.options is not None and cause.missing_cfg_file:
            group, _, choice = cause.missing_cfg_file.rpartition("/")
            if group == "experiment" or group.startswith("experiment/"):  # Hydra looks for its like in one folder only
                group, choice, options = "experiment", cause.missing_cfg_file.removeprefix("experiment/"), None
            else:
                options = [option for option in cause.options if not option.startswith("_")]
            return f"{group}={choice} does not exist{_suggest(choice, options or choices(group))}"
    if key := re.search(r"Could not override '([^']+)'", str(error)):
        return _unknown_key(key[1], name)
    for cause in chain:
        if key := re.search(r"full_key: (\S+)", str(cause)):
            return f"{key[1]}: {_message(cause)}."
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"{error.override} is not an override: write group=choice or group.setting=value; see --help."
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} cannot be read ({_message(error)}): a value that holds spaces, =, commas or brackets "
            "needs quotes of its own inside the shell's, as in \"run='a=b'\"."
        )
    return " ".join(str(error).split())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__


def _message(error: BaseException) -> str:
    """The error's text on one line, without the lines in which OmegaConf and Hydra say where it happened."""
    lines = [line.strip() for line in str(error).splitlines()]
    aside = ("full_key:", "object_type=", "reference_type=", "See https://")
    text = " ".join(line for line in lines if line and not line.startswith(aside)).rstrip(".")
    return text.replace("is incompatible with type hint 'Union[int, float]'", "is not a number")


def _unknown_key(key: str, name: str) -> str:
    """For a key outside the open nodes, whose settings are checked against their targets instead."""
    parent, _, child = key.rpartition(".")
    if not parent:
        places = _places_of(key) if name == "train" else []
        if places:
            return f"{key} is not a setting of its own: write {' or '.join(places)}."
        valid = [entry.name for entry in fields(SCHEMAS[name])] + (["budget", "experiment"] if name == "train" else [])
    elif parent in TYPED_NODES:
        valid = [entry.name for entry in fields(TYPED_NODES[parent])]
    else:
        return f"{key} is not a setting; see --cfg {'hydra' if key.startswith('hydra.') else 'job'} for all there are."
    return f"{key} is not a setting{_suggest(child, valid)}"


def _places_of(key: str) -> list[str]:
    """Where a setting that was typed without its group belongs: "lr" -> ["optimizer.lr"]."""
    places = [
        f"{node}.{key}" for node, schema in TYPED_NODES.items() if key in {entry.name for entry in fields(schema)}
    ]
    for group in ("model", "augmentation", "optimizer", "scheduler", "loss"):
        if any(key in OmegaConf.load(path) for path in (CONFIG_DIR / group).glob("*.yaml")):
            places.append(f"{group}.{key}")
    return places


def _suggest(name: str, valid: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1)
    guess = f"did you mean {close[0]}? There" if close else "there"
    return f"; {guess} are: {', '.join(valid)}."
