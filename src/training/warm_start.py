"""Starting from another run (`init.run`): its weights, which images it has seen, what stays frozen (`init.freeze`)."""

from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from src.config import typed
from src.data.images import ImageDataset
from src.data.split import Splits, split
from src.errors import UserError, require
from src.results.run_folder import RunFolder, find
from src.schemas import InitConfig
from src.training.checkpoint import load_checkpoint


def split_as_configured(dataset: ImageDataset, config: DictConfig) -> Splits:
    """The config's split of `dataset`: of all its training images or, with init.images=held_out, of the base's."""
    if config.init.images == "all":
        return split(dataset, typed(config)[0])
    base = find(config.init.run, "init.run")
    require_same_data(config, base.load_config(), base)
    pool = split_as_configured(dataset, base.load_config()).validation_indices
    require(
        pool is not None,
        f"init.run={config.init.run} held no images out; train a base that does (data.holdout=250), or set "
        "init.images=all, which marks the results",
    )
    return split(dataset, typed(config)[0], pool)


def seen_by_base(dataset: ImageDataset, config: DictConfig) -> Tensor:
    """Indices of the training images that the base, and the base of the base, were trained on."""
    if config.init.run is None:
        return torch.empty(0, dtype=torch.int64)
    base = find(config.init.run, "init.run").load_config()
    if not same_data(config, base):
        return torch.empty(0, dtype=torch.int64)
    return torch.cat([split_as_configured(dataset, base).train_indices, seen_by_base(dataset, base)]).unique()


def same_data(config: DictConfig, other: DictConfig) -> bool:
    """Whether two runs read the same images: of any size, and the official sets wherever they lie."""

    def described(run: DictConfig) -> dict[str, Any]:
        elsewhere = ("image_size", "root") if run.data.source["_target_"].startswith("src.data.official.") else ()
        return {key: value for key, value in run.data.source.items() if key not in ("image_size", *elsewhere)}

    return described(config) == described(other)


def require_same_data(config: DictConfig, other: DictConfig, base: RunFolder) -> None:
    require(
        same_data(config, other),
        f"init.images=held_out needs the data of init.run={base.path}: data={other.choices.get('data')} "
        f"data.root={other.data.root}",
    )


def take_weights(network: nn.Module, init: InitConfig) -> None:
    """Puts the base's weights into `network`; of a frozen part these alone, the rest keeps its start.

    Raises UserError naming the layers that do not fit, or the part that the network does not have.
    """
    part = f"{init.freeze}." if init.freeze else ""
    own = {name: value for name, value in network.state_dict().items() if name.startswith(part)}
    require(bool(own), f"init.freeze={init.freeze} is no part of the network; there are: {_parts(network)}")
    folder = find(init.run, "init.run")
    content = load_checkpoint(folder.checkpoint(folder.load_result().get("evaluated") or "last"))
    base_config = folder.load_config()
    if base_config.init.freeze:  # its checkpoints hold what it trained; the rest is its own base's
        raise UserError(
            f"init.run={init.run} has itself a frozen part; take init.run={base_config.init.run}, which trained it."
        )
    given = {name: value for name, value in content["model"].items() if name.startswith(part)}
    wrong = [name for name in {**own, **given} if _shape(own.get(name)) != _shape(given.get(name))]
    if wrong:
        heads_alone = all(name.startswith("head.") for name in wrong)
        shown = "; ".join(f"{n} {_shape(given.get(n))} there, {_shape(own.get(n))} here" for n in wrong[:6])
        raise UserError(
            f"init.run={init.run} does not fit this network in {len(wrong)} of {len({**own, **given})} tensors: {shown}"
            f"{' ...' if len(wrong) > 6 else ''}. Choose its model (model={base_config.choices.get('model')} "
            f"model.width={base_config.model.get('width')})"
            f"{', or init.freeze=features to take those alone' if heads_alone else ''}."
        )
    network.load_state_dict({**network.state_dict(), **given})


def freeze(network: nn.Module, init: InitConfig) -> nn.Module | None:
    """Takes the part out of training; the loop keeps it in evaluation mode. None where nothing is frozen."""
    return network.get_submodule(init.freeze).requires_grad_(False) if init.freeze else None


def _shape(value: Tensor | None) -> str:
    return "missing" if value is None else "x".join(map(str, value.shape)) or "scalar"


def _parts(network: nn.Module) -> str:
    return ", ".join(name for name, _ in network.named_children())
