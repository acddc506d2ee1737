"""Config nodes with a `_target_`: their settings checked against the target's signature, and the objects they build.

Importing this module does not import torch.
"""

import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import isclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from src.errors import UserError, suggest

CPU_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "Cannot allocate memory")  # PyTorch's RuntimeErrors
DIRECTIVES = ("_target_", "_partial_")  # keys of a node that are Hydra's, not the target's


def check_target(node: Mapping[str, Any], name: str, num_positional: int = 0) -> None:
    """Raises UserError unless the settings of `node` are arguments of its `_target_`, and all that it needs.

    Args:
        node: the settings, with `_target_`; nodes within it are checked too.
        name: of the node, for the error: "optimizer".
        num_positional: arguments that the caller adds, before the settings.
    """
    target = node.get("_target_") if isinstance(node, Mapping) else None
    if not isinstance(target, str):
        raise UserError(f"{name} needs a _target_, the function or class that builds it.")
    for key in node:
        if str(key).startswith("_") and key not in DIRECTIVES:
            raise UserError(f"{name}.{key} is not a setting; leave it out.")
    try:
        signature = inspect.signature(pkgutil.resolve_name(target))
    except (Exception, SystemExit) as error:  # importing a user's module may raise anything
        raise UserError(f"{name}._target_={target} cannot be imported as a function or class: {error}.") from error
    if not isinstance(node.get("_partial_", False), bool):
        raise UserError(f"{name}._partial_={node['_partial_']} must be true or false.")
    settings = {key: value for key, value in node.items() if key not in DIRECTIVES}
    try:
        signature.bind(*[None] * num_positional, **settings)
    except TypeError as error:
        valid = list(signature.parameters)[num_positional:]
        unknown = [key for key in settings if key not in valid]
        if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
            raise UserError(f"{name}.{unknown[0]} is not a setting of {target}{suggest(unknown[0], valid)}") from error
        raise UserError(f"{name} ({target}): {error}; its arguments are: {', '.join(valid)}.") from error
    _check_types(settings, name, target)
    for key, value in settings.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, Mapping) and "_target_" in part:
                check_target(part, f"{name}.{key}")


def _check_types(settings: Mapping[str, Any], name: str, target: str) -> None:
    """Raises UserError for a setting of another type than the target's annotation asks for."""
    function = pkgutil.resolve_name(target)
    try:
        hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except Exception:  # annotations may name what cannot be imported: they are no more than hints
        return
    for key, value in settings.items():
        if value is None and key == "num_classes":  # as many as the data has: filled in when the model is built
            continue
        if not _fits(value, hints.get(key, Any)):
            kind = getattr(hints[key], "__name__", str(hints[key])) if isclass(hints[key]) else str(hints[key])
            raise UserError(f"{name}.{key}={value} is not of the type that {target} asks for: {kind}.")


def _fits(value: Any, hint: Any) -> bool:
    """Whether `value`, read from a config, can be meant by the annotation; what is not known here fits."""
    origin, arguments = get_origin(hint), get_args(hint)
    # a node of its own, or a list of them
    if isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(item, Mapping) for item in value)):
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint in (int, float):
        return isinstance(value, int | float if hint is float else int) and not isinstance(value, bool)
    if hint is type(None):
        return value is None
    if origin in (list, tuple, Sequence):
        if not isinstance(value, list | tuple):
            return False
        if origin is tuple and Ellipsis not in arguments:
            return len(value) == len(arguments) and all(map(_fits, value, arguments))
        return all(_fits(item, arguments[0]) for item in value)
    return not (isclass(hint) and hint.__name__ == "Tensor")


def build(node: Mapping[str, Any], name: str, **others: Any) -> Any:
    """The object that `node` describes or, with `_partial_`, the function still to be called.

    `others` are further arguments of the target. Raises UserError, whose message names `name`, where the target refuses
    its settings.
    """
    try:
        built = instantiate(dict(node), _convert_="all", **others)
    except Exception as error:  # a user's module may raise anything
        cause = (error.__cause__ or error) if isinstance(error, InstantiationException) else error
        if isinstance(cause, UserError) or is_device_failure(cause):
            raise cause from error
        raise _refused(node, name, cause) from error
    if isinstance(built, partial):  # Hydra's own partial examines the target again at every call, so at every step
        return partial(built.func, *built.args, **built.keywords)
    return built


def call(node: Mapping[str, Any], name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls `function`, which `node` built; raises UserError, whose message names `name`, where it refuses a value."""
    try:
        return function(*arguments)
    except Exception as error:  # a user's module may raise anything
        if isinstance(error, UserError) or is_device_failure(error):
            raise
        raise _refused(node, name, error) from error


def is_device_failure(error: BaseException) -> bool:
    """Whether the device failed, out of memory for example: RuntimeErrors that are not about settings."""
    import torch

    out_of_memory = isinstance(error, MemoryError) or any(text in str(error) for text in CPU_OUT_OF_MEMORY)
    return out_of_memory or isinstance(error, torch.OutOfMemoryError | torch.AcceleratorError)


def without_determinism(error: BaseException) -> str | None:
    """What PyTorch refuses to compute with trainer.deterministic=true; None for other errors."""
    operation, refused, _ = str(error).partition(" does not have a deterministic implementation")
    return f"{operation.split()[-1]}, which has no deterministic implementation" if refused else None


def _refused(node: Mapping[str, Any], name: str, cause: BaseException) -> UserError:
    reason = " ".join(str(cause).split()).rstrip(".")
    if not isinstance(cause, ValueError):  # a KeyError says no more than the key
        reason = f"{type(cause).__name__}: {reason}"
    if operation := without_determinism(cause):
        return UserError(f"{name} ({node['_target_']}) calls {operation}; use trainer.deterministic=false.")
    return UserError(f"{name} ({node['_target_']}) refuses its settings: {reason}.")
