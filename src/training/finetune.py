"""Starting from another run (`init.run`): its weights, which images it has seen, what stays frozen (`init.freeze`)."""

from typing import Any

import torch
from torch import Tensor, nn

from src.config import InitConfig, RunConfig
from src.data.dataset import ImageDataset
from src.data.split import Splits, split
from src.errors import require
from src.run_dir import RunDir, find_run
from src.training.checkpoint import load_checkpoint


def split_as_configured(dataset: ImageDataset, config: RunConfig) -> Splits:
    """The run's split: of all training images or, with init.images=held_out, of those that the base run held out."""
    if config.init.images == "all":
        return split(dataset, config.data)
    base = find_run(config.init.run, "init.run")
    base_config, choices = base.load_config(), base.load_result().get("choices", {})
    require(
        same_data(config, base_config),
        f"init.images=held_out needs the data of init.run={base.path}: data={choices.get('data')} "
        f"data.root={base_config.data.root}",
    )
    pool = split_as_configured(dataset, base_config).validation_indices
    require(
        pool is not None,
        f"init.run={config.init.run} held no images out; train a base run that does (data.holdout=250), or set "
        "init.images=all, which marks the results",
    )
    return split(dataset, config.data, pool)


def seen_by_base(dataset: ImageDataset, config: RunConfig) -> Tensor:
    """Indices (int64) of the training images that the base run, and the base of the base, were trained on."""
    if config.init.run is None:
        return torch.empty(0, dtype=torch.int64)
    base = find_run(config.init.run, "init.run").load_config()
    if not same_data(config, base):
        return torch.empty(0, dtype=torch.int64)
    return torch.cat([split_as_configured(dataset, base).train_indices, seen_by_base(dataset, base)]).unique()


def count_seen_by_base(splits: Splits, config: RunConfig) -> int:
    """How many validation images the base run was trained on: they make its heads look better than they are."""
    if splits.validation_indices is None:
        return 0
    return int(torch.isin(splits.validation_indices, seen_by_base(splits.dataset, config)).sum())


def same_data(config: RunConfig, other: RunConfig) -> bool:
    """Whether two runs read the same images: at any size, and CIFAR from any folder."""

    def described(run: RunConfig) -> dict[str, Any]:
        is_cifar = run.data.source["_target_"].startswith("src.data.cifar.")
        ignored = {"image_size", "fit", "skip_broken", "cache", *(["root"] if is_cifar else [])}
        return {key: value for key, value in run.data.source.items() if key not in ignored}

    return described(config) == described(other)


def load_base_weights(model: nn.Module, init: InitConfig) -> None:
    """Loads the base run's weights; of a frozen part these alone, the rest keeps its own.

    Raises UserError naming the tensors that do not fit, or the part that the model does not have.
    """
    prefix = f"{init.freeze}." if init.freeze else ""
    own = {name: value for name, value in model.state_dict().items() if name.startswith(prefix)}
    parts = ", ".join(name for name, _ in model.named_children())
    require(bool(own), f"init.freeze={init.freeze} is no part of the model; there are: {parts}")
    base = find_run(init.run, "init.run")
    base_init = base.load_config().init
    require(  # its checkpoints hold what it trained; the rest is in its own base run
        not base_init.freeze,
        f"init.run={init.run} has a frozen part itself; take init.run={base_init.run}, which trained it",
    )
    content = load_checkpoint(base.checkpoint(base.evaluated_checkpoint()))
    given = {name: value for name, value in content["model"].items() if name.startswith(prefix)}
    _require_same_shapes(own, given, base)
    model.load_state_dict({**model.state_dict(), **given})


def freeze(model: nn.Module, init: InitConfig) -> None:
    """Excludes the part `init.freeze` from training."""
    if init.freeze:
        model.get_submodule(init.freeze).requires_grad_(False)


def _require_same_shapes(own: dict[str, Tensor], given: dict[str, Tensor], base: RunDir) -> None:
    wrong = [name for name in {**own, **given} if _shape(own.get(name)) != _shape(given.get(name))]
    if not wrong:
        return
    shown = "; ".join(f"{name} {_shape(given.get(name))} there, {_shape(own.get(name))} here" for name in wrong[:6])
    only_head = all(name.startswith("head.") for name in wrong)
    model, choices = base.load_config().model, base.load_result().get("choices", {})
    require(
        False,
        f"init.run={base.path} does not fit this model in {len(wrong)} of {len({**own, **given})} tensors: {shown}"
        f"{' ...' if len(wrong) > 6 else ''}. Choose its model (model={choices.get('model')} "
        f"model.width={model.get('width')}){', or init.freeze=features to take those alone' if only_head else ''}",
    )


def _shape(value: Tensor | None) -> str:
    return "missing" if value is None else "x".join(map(str, value.shape)) or "scalar"
