"""Command lines as people type them: `group=choice`, `group.setting=value`."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

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


def quote_override(key: str, value: str | Path) -> str:
    """`key=value` as Hydra's grammar reads it, whatever the value holds."""
    if re.fullmatch(r"[\w/.+-]+", str(value), re.ASCII):
        return f"{key}={value}"
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def quote_path(override: str) -> str:
    """The override with quotes where its value can only be a path: "images='cat (1).jpg'" of "images=cat (1).jpg"."""
    key, _, value = override.partition("=")
    is_path = re.search(r"[\[\](){}=]", value) and not re.match(r"[\['\"]", value)
    return quote_override(key, value) if is_path else override


def shell_override(key: str, value: str | Path) -> str:
    """The same as it can be typed into a shell."""
    return shlex.quote(quote_override(key, value))
