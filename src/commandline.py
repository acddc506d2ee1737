"""How every command starts and ends: Hydra around it, one sentence for a mistake, an honest exit code."""

import difflib
import os
import re
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.errors import Interrupted, UserError
from src.overrides import is_override, opened
from src.results.run_folder import find
from src.schemas import GROUPS, TYPED_NODES, register_schemas

CONFIGS = Path(__file__).resolve().parent.parent / "conf"


def run_command(name: str, task: Callable[[DictConfig], None]) -> NoReturn:
    """Composes conf/<name>.yaml with the command line, calls `task` with it, once per job, and exits.

    The exit code is 0, 1 after a mistake or a failure in any job, 128 + the signal's number after an interruption.
    """
    failures: list[str] = []

    def job(config: DictConfig) -> None:
        try:
            task(config)
        except UserError as error:
            failures.append(str(error))
            print(f"error: {error}", file=sys.stderr, flush=True)

    register_schemas()
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises what went wrong instead of printing it in its own way
    try:
        sys.argv[1:] = prepare_arguments(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(job)()
    except (HydraException, OmegaConfBaseException, UserError) as error:
        sys.exit(f"error: {explain(error, name)}")
    except OSError as error:
        sys.exit(f"error: {error}.")
    except Interrupted as interruption:
        sys.exit(128 + interruption.signal_number)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    sys.exit(1 if failures else 0)


def prepare_arguments(arguments: Sequence[str]) -> list[str]:
    """What Hydra's parser wants: overrides behind all flags, and leave to add keys where a target takes them.

    Raises UserError for a group without a choice, which Hydra answers with a traceback.
    """
    for argument in arguments:
        group, _, choice = argument.partition("=")
        if "=" in argument and group in GROUPS and group != "experiment" and choice in ("", "null"):
            raise UserError(f"{argument} names no choice; see --help for those of {group}.")
    return sorted(map(opened, arguments), key=is_override)


def explain(error: BaseException, name: str) -> str:
    """One sentence for a config, conf/<name>.yaml, that could not be composed: what is wrong, what would be right."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, UserError):
            return str(cause)
        if isinstance(cause, MissingConfigException) and cause.options:
            group, _, choice = (cause.missing_cfg_file or "").rpartition("/")
            if group.startswith("experiment/"):
                return _unknown_experiment(cause.missing_cfg_file)
            if group == "hydra/launcher":
                return f'{group}={choice} is not installed; joblib comes with `pip install -e ".[parallel]"`.'
            return f"{group}={choice} does not exist{_suggest(choice, cause.options)}"
    if key := re.search(r"Could not override '([^']+)'", str(error)):
        return _unknown_key(key[1], name)
    for cause in chain:
        if key := re.search(r"full_key: (\S+)", str(cause)):
            return f"{key[1]}: {_first_line(cause)}."
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"{error.override} is no override: write group=choice or group.setting=value; see --help."
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} cannot be read ({_first_line(error)}): a value that holds spaces, =, commas or brackets "
            "needs quotes of its own inside the shell's, as in \"run='a=b'\"."
        )
    return " ".join(str(error).split())


def experiments() -> list[str]:
    """The choices of the group `experiment`: "report/deep" and the like."""
    folder = CONFIGS / "experiment"
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.yaml"))


def register_resolvers() -> None:
    """The functions that configs call.

    Names of run folders end in random digits: runs started in the same second must not share one.
    """
    for resolver in (run_folder, sweep_folder, report_folder, jobs_at_once):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, use_cache=True, replace=True)


def run_folder(resume: str | None, model: str, experiment: str | None) -> str:
    """outputs/2026-11-23_21-30-01_deep_3fa9, or the folder of the run to go on with."""
    if resume is None:
        return f"outputs/{_now()}_{(experiment or model).replace('/', '-')}_{secrets.token_hex(2)}"
    return str(find(resume, "resume").path)


def sweep_folder() -> str:
    """outputs/2026-11-23_21-30-01_sweep_3fa9, which holds the folders of its jobs."""
    return f"outputs/{_now()}_sweep_{secrets.token_hex(2)}"


def report_folder() -> str:
    """outputs/2026-11-23_21-30-01_report_3fa9."""
    return f"outputs/{_now()}_report_{secrets.token_hex(2)}"


def jobs_at_once() -> int:
    """How many runs share this machine well: one per GPU, but two on a single one, which small networks leave idle."""
    import torch

    gpus = torch.cuda.device_count()
    return max(2, gpus) if gpus else os.cpu_count() or 1


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


def _unknown_key(key: str, name: str) -> str:
    """For a key outside the open nodes, whose settings are checked against their targets instead."""
    parent, _, child = key.rpartition(".")
    if parent in TYPED_NODES:
        valid = [entry.name for entry in fields(TYPED_NODES[parent])]
    elif not parent:
        own = [entry for entry in OmegaConf.load(CONFIGS / f"{name}.yaml") if entry not in ("defaults", "hydra")]
        valid = own + (list(GROUPS) if name == "train" else [])
        if name == "train" and (places := _places_of(key)):
            return f"{key} is not a setting of its own: write {' or '.join(places)}."
    else:
        return f"{key} is not a setting; see --cfg job for all there are."
    return f"{key} is not a setting{_suggest(child, valid)}"


def _unknown_experiment(path: str) -> str:
    """For experiment=report/depp: Hydra looks for its like in the first folder only."""
    name = path.removeprefix("experiment/")
    return f"experiment={name} does not exist{_suggest(name, experiments())}"


def _places_of(key: str) -> list[str]:
    """Where a setting that was typed without its group belongs: "lr" -> ["optimizer.lr"]."""
    places = [
        f"{node}.{key}" for node, schema in TYPED_NODES.items() if key in {entry.name for entry in fields(schema)}
    ]
    for group in ("model", "augmentation", "optimizer", "scheduler"):
        if any(key in OmegaConf.load(path) for path in (CONFIGS / group).glob("*.yaml")):
            places.append(f"{group}.{key}")
    return places


def _suggest(name: str, valid: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1)
    guess = f"did you mean {close[0]}? There" if close else "there"
    return f"; {guess} are: {', '.join(valid)}."
