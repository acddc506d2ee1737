"""Command lines as people type them: `group=choice`, `group.setting=value`."""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.config import RunConfig

COMMAND = "CIFARLAB_COMMAND"  # the environment variable by which a sweep tells its jobs what was typed

# Nodes that take whatever their target takes: Hydra may add keys to them ("++"), the target's signature is checked.
_OPEN_NODES = re.compile(r"^(model|augmentation|optimizer|scheduler|loss|hydra\.sweeper\.params)\.")


def exact_command() -> str:
    """The command line that was typed, as it can be pasted into a shell."""
    return os.environ.get(COMMAND) or shlex.join(["python", *sys.orig_argv[1:]])


def allow_new_keys(override: str) -> str:
    """The override with leave to add its key, where a target takes it: "++optimizer.lr=1" of "optimizer.lr=1"."""
    return _OPEN_NODES.sub(r"++\g<0>", override)


def is_override(argument: str) -> bool:
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def key_of(override: str) -> str:
    """ "optimizer.lr" of "++optimizer.lr=1"."""
    return override.lstrip("+~").partition("=")[0]


def named_keys(overrides: Sequence[str]) -> list[str]:
    """The settings and groups that `overrides` name, each once: ["optimizer.lr"] of ["++optimizer.lr=1"]."""
    return list(dict.fromkeys(map(key_of, overrides)))


def name_choices(choices: Mapping[str, Any], config: RunConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Hydra's `choices` of each group; of a group whose _target_ the `overrides` name, that class of the `config`."""
    found = [re.fullmatch(r"(\w+)\._target_", key) for key in named_keys(overrides)]
    return {**choices, **{match[1]: getattr(config, match[1])["_target_"] for match in found if match}}


def quote_override(key: str, value: str | Path) -> str:
    """`key=value` as Hydra's grammar reads it, whatever the value holds."""
    text = str(value)
    if re.fullmatch(r"[\w/.+-]+", text, re.ASCII) and text.lower() != "null":
        return f"{key}={text}"
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), text)
    return f"{key}='{escaped}'"  # a backslash counts as itself, but for those before a quote


def quote_path(override: str) -> str:
    """The override with quotes where its value can only be a path: "images='cat (1).jpg'" of "images=cat (1).jpg"."""
    key, _, value = override.partition("=")
    is_path = re.search(r"[\[\](){}=]", value) and not re.match(r"[\['\"]", value)
    return quote_override(key, value) if is_path else override


def shell_override(key: str, value: str | Path) -> str:
    """The same as it can be typed into a shell."""
    return shlex.quote(quote_override(key, value))
