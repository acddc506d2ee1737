"""The layer-by-layer table of a network: output shapes, parameters, multiply-adds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from src.tables import format_table


@dataclass(frozen=True)
class LayerRow:
    """One layer as it was called: training changes its `parameters`, not `others`: running statistics, frozen ones."""

    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    others: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """The rows of all layers, in the order of the forward pass, for one image; totals of the whole network."""

    rows: tuple[LayerRow, ...]
    parameters: int
    frozen: int
    statistics: int

    @property
    def multiply_adds(self) -> int:
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        cells = [
            (row.layer, " x ".join(map(str, row.output_shape)), _count(row.parameters + row.others),
             _count(row.multiply_adds))
            for row in self.rows
        ]  # fmt: skip
        table = format_table(("layer", "output", "parameters", "multiply-adds"), cells, align="<<>>")
        return (
            f"{table}\n{self.parameters:,} trainable parameters{f' + {self.frozen:,} frozen' if self.frozen else ''} + "
            f"{self.statistics:,} running statistics; "
            f"{self.multiply_adds / 1e6:,.1f} million multiply-adds per image"
        )


def summarise(network: nn.Module, image_size: int) -> Summary:
    """Runs one grey image (1, 3, image_size, image_size) through `network` and notes every layer it passes.

    An activation stands in the row of the layer before it, as in Keras's own summary. What belongs to no layer, or to
    layers that did not take part, stands in a last row. The network is left as it was.
    """
    rows: list[LayerRow] = []
    seen: set[nn.Module] = set()

    def note(layer: nn.Module, _inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            return  # attention gives several; its parameters are in the last row
        if _is_activation(layer) and rows:
            rows[-1] = replace(rows[-1], layer=f"{rows[-1].layer} + {_name(layer)}")
            return
        rows.append(
            LayerRow(
                _name(layer),
                tuple(output.shape[1:]),
                0 if layer in seen else _parameters(layer),
                0 if layer in seen else _frozen(layer) + _statistics(layer),
                _multiply_adds(layer, output),
            )
        )
        seen.add(layer)

    leaves = [layer for layer in network.modules() if not list(layer.children())]
    device = next(network.parameters()).device
    with _in_evaluation_mode(network), torch.no_grad():
        hooks = [layer.register_forward_hook(note) for layer in leaves]
        try:
            network(torch.full((1, 3, image_size, image_size), 0.5, device=device))
        finally:
            for hook in hooks:
                hook.remove()
    parameters, frozen, statistics = _parameters(network), _frozen(network), _statistics(network)
    other = parameters - sum(row.parameters for row in rows), frozen + statistics - sum(row.others for row in rows)
    if any(other):
        rows.append(LayerRow("(other)", (), *other, 0))
    return Summary(tuple(rows), parameters, frozen, statistics)


@contextmanager
def _in_evaluation_mode(network: nn.Module) -> Iterator[None]:
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def _is_activation(layer: nn.Module) -> bool:
    return type(layer).__module__ == "torch.nn.modules.activation" or "Sigmoid" in type(layer).__name__


def _name(layer: nn.Module) -> str:
    if isinstance(layer, nn.Conv2d):
        return f"Conv2d {layer.kernel_size[0]}x{layer.kernel_size[1]}"
    if isinstance(layer, nn.Dropout):
        return f"Dropout {layer.p:g}"
    return type(layer).__name__


def _parameters(module: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _frozen(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if not p.requires_grad)


def _statistics(module: nn.Module) -> int:
    """Running means and variances (not `num_batches_tracked`)."""
    return sum(buffer.numel() for buffer in module.buffers() if buffer.is_floating_point())


def _multiply_adds(layer: nn.Module, output: Tensor) -> int:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        return output[0].numel() * layer.weight[0].numel()
    return 0


def _count(number: int) -> str:
    return f"{number:,}"
