"""Commands and overrides as people type them: `group=choice`, `group.setting=value`."""

import os
import re
import shlex
import sys
from pathlib import Path

# Nodes that take whatever their target takes: Hydra may add keys to them ("++"), the target's signature has the say.
OPEN_NODES = re.compile(r"^(model|augmentation|optimizer|scheduler)\.")

COMMAND = "CIFARLAB_COMMAND"  # the environment variable by which a sweep tells its workers what was typed


def exact_command() -> str:
    """The command line that was typed, as it can be pasted into a shell."""
    return os.environ.get(COMMAND) or shlex.join(["python", *sys.orig_argv[1:]])


def opened(override: str) -> str:
    """The override with leave to add its key, where a target takes it."""
    return OPEN_NODES.sub(r"++\g<0>", override)


def is_override(argument: str) -> bool:
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def key_of(override: str) -> str:
    """ "optimizer.lr" of "++optimizer.lr=1"."""
    return override.lstrip("+~").partition("=")[0]


def quoted(name: str, value: str | Path) -> str:
    """`name=value` as Hydra's grammar reads it, whatever the value holds."""
    if re.fullmatch(r"[\w/.+-]+", str(value), re.ASCII):
        return f"{name}={value}"
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'"


def quoted_override(name: str, value: str | Path) -> str:
    """The same as it can be typed into a shell."""
    return shlex.quote(quoted(name, value))
