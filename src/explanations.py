"""One sentence for a config that could not be composed: what is wrong, and what would be right."""

import re
from collections.abc import Iterator
from dataclasses import fields

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import OmegaConf

from src.choices import CONFIG_DIR, choices
from src.config import TYPED_NODES
from src.errors import UserError, suggest
from src.schemas import SCHEMAS


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
            return f"{group}={choice} does not exist{suggest(choice, options or choices(group))}"
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
    return re.sub(r"is incompatible with type hint '(Optional\[)?Union\[int, float\]\]?'", "is not a number", text)


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
    return f"{key} is not a setting{suggest(child, valid)}"


def _places_of(key: str) -> list[str]:
    """Where a setting that was typed without its group belongs: "lr" -> ["optimizer.lr"]."""
    places = [
        f"{node}.{key}" for node, schema in TYPED_NODES.items() if key in {entry.name for entry in fields(schema)}
    ]
    for group in ("model", "augmentation", "optimizer", "scheduler", "loss"):
        if any(key in OmegaConf.load(path) for path in (CONFIG_DIR / group).glob("*.yaml")):
            places.append(f"{group}.{key}")
    return places
