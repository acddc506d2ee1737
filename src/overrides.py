"""Overrides as people type them: `group=choice`, `group.setting=value`."""

import re
import shlex
from pathlib import Path

# Nodes that take whatever their target takes: Hydra may add keys to them ("++"), the target's signature has the say.
OPEN_NODES = re.compile(r"^(model|augmentation|optimizer|scheduler)\.")


def opened(override: str) -> str:
    """The override with leave to add its key, where a target takes it."""
    return OPEN_NODES.sub(r"++\g<0>", override)


def is_override(argument: str) -> bool:
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def quoted(name: str, value: str | Path) -> str:
    """`name=value` as Hydra's grammar reads it, whatever the value holds."""
    if re.fullmatch(r"[\w/.+-]+", str(value)):
        return f"{name}={value}"
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'"


def quoted_override(name: str, value: str | Path) -> str:
    """The same as it can be typed into a shell."""
    return shlex.quote(quoted(name, value))
