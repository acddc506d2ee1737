"""The weights from which a network starts (`init.run`, `init.weights`), and which parts keep them (`init.freeze`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.errors import UserError, first_line, require
from src.init_config import InitConfig
from src.nodes import is_in
from src.run_dir import find_run
from src.training.checkpoint import load_checkpoint
from src.training.inference import Classifier
from src.training.messages import log

CONTAINERS = ("state_dict", "model", "model_state_dict", "net")  # keys under which files of checkpoints hold weights
PREFIXES = ("module._orig_mod.", "_orig_mod.module.", "module.", "_orig_mod.")  # of DataParallel and torch.compile


def load_initial_weights(model: nn.Module, init: InitConfig, num_classes: int, image_size: int) -> None:
    """Loads the weights of init.run or init.weights; what starts anew is logged.

    The layer that returns the logits starts anew where it was trained for another number of classes; with init.freeze
    the whole head does, the part of the network with that layer. Raises UserError naming the tensors that do not fit
    otherwise, for parts that do not exist, and where nothing would be trained.
    """
    source, given = _read_source(init)
    require_parts(model, "init.freeze", init.frozen_parts)
    trained = [n for n, w in model.named_parameters() if w.requires_grad and not is_in(n, init.frozen_parts)]
    require(bool(trained), f"init.freeze={init.freeze} leaves nothing to train; freeze fewer parts")
    heads = find_heads(model, num_classes, image_size)

    def is_loaded(name: str) -> bool:
        return not init.freeze or is_in(name, init.frozen_parts) or not is_in(name, heads)

    own = {name: value for name, value in model.state_dict().items() if is_loaded(name)}
    given = {name: value for name, value in given.items() if is_loaded(name)}
    new = [n for n in own if n in given and is_in(n, heads) and _has_other_classes(own[n], given[n], num_classes)]
    frozen = [name for name in new if is_in(name, init.frozen_parts)]
    count = len(given[new[0]]) if new else num_classes
    require(not frozen, f"init.freeze={init.freeze} keeps a head of {count} classes, this run has {num_classes}")
    given |= {name: own[name] for name in new}
    _require_same_shapes(init, source, heads, own, given)
    if new:
        log.info(f"{', '.join(new)} start anew: {source} has {count} classes, this run {num_classes}")
    model.load_state_dict({**model.state_dict(), **given})


@torch.no_grad()
def find_heads(model: nn.Module, num_classes: int, image_size: int) -> list[str]:
    """The parts of the network, mostly one, with a layer that returns `num_classes` numbers for an image."""
    names, found = {layer: name for name, layer in model.named_modules()}, []

    def note(layer: nn.Module, _inputs: Any, output: Any) -> None:
        has_weights = next(layer.parameters(recurse=False), None) is not None
        if has_weights and isinstance(output, Tensor) and output.shape == (1, num_classes):
            found.append(names[layer].split(".")[0])

    hooks = [layer.register_forward_hook(note) for layer in names]
    was_training = model.training
    model.eval()(torch.zeros(1, 3, image_size, image_size, device=next(model.parameters()).device))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return list(dict.fromkeys(name for name in found if name))


def load_frozen_parts(model: nn.Module, init: InitConfig) -> None:
    """Loads the parts that init.freeze names from the base run: checkpoints do not repeat them."""
    source, given = _read_source(init)
    require_parts(model, "init.freeze", init.frozen_parts)
    own = {name: value for name, value in model.state_dict().items() if is_in(name, init.frozen_parts)}
    given = {name: value for name, value in given.items() if is_in(name, init.frozen_parts)}
    _require_same_shapes(init, source, [], own, given)
    model.load_state_dict({**model.state_dict(), **given})


def freeze(model: nn.Module, parts: Sequence[str]) -> None:
    """Excludes the parts from training."""
    for part in parts:
        model.get_submodule(part).requires_grad_(False)


def unfreeze_gradually(classifier: Classifier, optimizer: Optimizer, init: InitConfig, epoch: int) -> None:
    """With init.unfreeze_epochs: freezes the parts that are still frozen in `epoch`, counted from 0, and no others.

    The last frozen part is trained after so many epochs, the one before it after twice as many, and so on (gradual
    unfreezing, Howard & Ruder 2018). A weight that is not trained has no gradient, and optimizers leave it as it is.
    """
    if init.unfreeze_epochs is None:
        return
    classifier.frozen = init.frozen_at(epoch)
    trainable = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    for name, weight in classifier.model.named_parameters():
        if id(weight) in trainable:
            weight.requires_grad_(not is_in(name, classifier.frozen))


def require_parts(model: nn.Module, setting: str, parts: Sequence[str]) -> None:
    """Raises UserError where the model has no part of a name."""
    known = {name for name, _ in model.named_modules()}
    missing = [part for part in parts if part not in known]
    children = ", ".join(name for name, _ in model.named_children())
    require(not missing, f"{setting}={', '.join(missing)} is no part of the model; there are: {children}")


def _read_source(init: InitConfig) -> tuple[str, dict[str, Tensor]]:
    """What messages call the source of the weights, and its state dict."""
    if init.weights:
        return f"init.weights={init.weights}", read_weights(Path(init.weights).expanduser())
    base = find_run(init.run, "init.run")
    base_init = base.load_config().init
    require(  # its checkpoints hold what it trained; the rest is in its own base run
        not base_init.keeps_base,
        f"init.run={init.run} has a frozen part itself; take init.run={base_init.run}, which trained it",
    )
    content = load_checkpoint(base.checkpoint(base.evaluated_checkpoint()))
    return f"init.run={base.path}", content["model"]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of PyTorch or safetensors, without the prefixes of wrappers.

    Raises UserError where the file is missing, holds no weights, or holds objects other than tensors: creating them may
    run code.
    """
    require(path.is_file(), f"init.weights={path} is no file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise UserError(f'init.weights={path} needs safetensors: pip install -e ".[export]"') from error
    except Exception as error:  # unpickling a damaged file may raise anything
        raise UserError(f"init.weights={path} cannot be read as a file of weights ({first_line(error)}).") from error
    for key in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    holds_weights = isinstance(content, Mapping) and content and all(map(torch.is_tensor, content.values()))
    require(bool(holds_weights), f"init.weights={path} holds no state dict, a mapping of names to tensors")
    prefix = next((each for each in PREFIXES if all(name.startswith(each) for name in content)), "")
    return {name.removeprefix(prefix): value for name, value in content.items()}


def _has_other_classes(own: Tensor, given: Tensor, num_classes: int) -> bool:
    """Whether a tensor of the last layer was made for another number of classes."""
    return (
        own.ndim > 0 and given.ndim > 0 and len(own) == num_classes != len(given) and own.shape[1:] == given.shape[1:]
    )


def _require_same_shapes(
    init: InitConfig, source: str, heads: Sequence[str], own: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> None:
    wrong = [name for name in {**own, **given} if _shape(own.get(name)) != _shape(given.get(name))]
    if not wrong:
        return
    shown = "; ".join(f"{name} {_shape(given.get(name))} there, {_shape(own.get(name))} here" for name in wrong[:6])
    others = sorted({name.split(".")[0] for name in own if not is_in(name, heads)})
    freeze_others = others[0] if len(others) == 1 else f"[{','.join(others)}]"
    advice = (
        f", or init.freeze={freeze_others} to start with a new head"
        if all(is_in(name, heads) for name in wrong)
        else ""
    )
    require(
        False,
        f"{source} does not fit this model in {len(wrong)} of {len({**own, **given})} tensors: {shown}"
        f"{' ...' if len(wrong) > 6 else ''}. Choose its model{_describe_model(init)}{advice}",
    )


def _describe_model(init: InitConfig) -> str:
    """ " (model=deep model.width=0.5)" of a base run; nothing of a file of weights."""
    if not init.run:
        return ""
    base = find_run(init.run, "init.run")
    choice, model = base.load_result().get("choices", {}).get("model"), base.load_config().model
    width = f" model.width={model['width']}" if "width" in model else ""
    return f" (model={choice or model['_target_']}{width})"


def _shape(value: Tensor | None) -> str:
    return "missing" if value is None else "x".join(map(str, value.shape)) or "scalar"
