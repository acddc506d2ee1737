"""The layer-by-layer table of a network: output shapes, parameters, multiply-adds."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.backends import mha
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from src.formatting import format_table


@dataclass(frozen=True)
class LayerRow:
    """One call of a layer. `parameters` are trainable; `others` are frozen parameters and running statistics."""

    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    others: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """The calls of layers in order, and totals of the network; `statistics` are running means and variances."""

    rows: tuple[LayerRow, ...]
    parameters: int
    frozen: int
    statistics: int
    multiply_adds: int

    def __str__(self) -> str:
        cells = []
        for row in self.rows:
            shape = " x ".join(map(str, row.output_shape))
            cells.append((row.layer, shape, f"{row.parameters + row.others:,}", f"{row.multiply_adds:,}"))
        table = format_table(("layer", "output", "parameters", "multiply-adds"), cells, align="<<>>")
        frozen = f" + {self.frozen:,} frozen" if self.frozen else ""
        return (
            f"{table}\n{self.parameters:,} trainable parameters{frozen} + {self.statistics:,} running statistics\n"
            f"{self.multiply_adds / 1e6:,.1f} million multiply-adds per image"
        )


def summarize(network: nn.Module, image_size: int) -> Summary:
    """Runs one gray image (1, 3, image_size, image_size) through `network`, which it does not change.

    Multiply-adds are those of convolutions and matrix products, half the operations that PyTorch's FlopCounterMode
    counts. An activation is named in the row of the layer before it, as in Keras's summary. A last row "(other)" holds
    what belongs to no layer, or to a layer that was not called.
    """
    image = torch.full((1, 3, image_size, image_size), 0.5, device=next(network.parameters()).device)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for module in network.modules():
            stack.callback(setattr, module, "training", module.training)
        # Attention by fused kernels is not counted, by matrix products it is.
        stack.callback(mha.set_fastpath_enabled, mha.get_fastpath_enabled())
        mha.set_fastpath_enabled(False)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        counter = stack.enter_context(FlopCounterMode(display=False))
        rows = _record_layers(network, counter, stack)
        network.eval()(image)
    parameters, frozen, statistics = _count_numbers(network)
    multiply_adds = counter.get_total_flops() // 2
    other = (
        parameters - sum(row.parameters for row in rows),
        frozen + statistics - sum(row.others for row in rows),
        multiply_adds - sum(row.multiply_adds for row in rows),
    )
    if any(other):
        rows.append(LayerRow("(other)", (), *other))
    return Summary(tuple(rows), parameters, frozen, statistics, multiply_adds)


def _record_layers(network: nn.Module, counter: FlopCounterMode, stack: ExitStack) -> list[LayerRow]:
    """A list to which every call of a layer adds a row, until `stack` is closed."""
    rows: list[LayerRow] = []
    numbers: dict[nn.Module, tuple[int, int, int]] = {}
    flops_before: dict[nn.Module, int] = {}

    def enter(layer: nn.Module, _inputs: Any) -> None:
        flops_before[layer] = counter.get_total_flops()

    def leave(layer: nn.Module, _inputs: Any, output: Any) -> None:
        output = output[0] if isinstance(output, tuple) else output  # attention: output and weights
        if rows and _is_activation(layer):
            rows[-1] = replace(rows[-1], layer=f"{rows[-1].layer} + {_name(layer)}")
        elif isinstance(output, Tensor):
            parameters, frozen, statistics = numbers.pop(layer, (0, 0, 0))  # nothing at a layer's later calls
            multiply_adds = (counter.get_total_flops() - flops_before[layer]) // 2
            rows.append(LayerRow(_name(layer), tuple(output.shape[1:]), parameters, frozen + statistics, multiply_adds))

    for module in network.modules():
        if isinstance(module, nn.MultiheadAttention) or not list(module.children()):
            numbers[module] = _count_numbers(module)
            stack.enter_context(module.register_forward_pre_hook(enter))
            stack.enter_context(module.register_forward_hook(leave))
    return rows


def _is_activation(layer: nn.Module) -> bool:
    in_torch = type(layer).__module__ == "torch.nn.modules.activation" and not isinstance(layer, nn.MultiheadAttention)
    return in_torch or "Sigmoid" in type(layer).__name__


def _name(layer: nn.Module) -> str:
    if isinstance(layer, nn.Conv2d):
        return f"Conv2d {layer.kernel_size[0]}x{layer.kernel_size[1]}"
    if isinstance(layer, nn.Linear):
        return "Linear"
    return f"Dropout {layer.p:g}" if isinstance(layer, nn.Dropout) else type(layer).__name__


def _count_numbers(module: nn.Module) -> tuple[int, int, int]:
    """Trainable parameters, frozen ones, and running means and variances (without `num_batches_tracked`)."""
    parameters = sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
    frozen = sum(weight.numel() for weight in module.parameters() if not weight.requires_grad)
    return parameters, frozen, sum(buffer.numel() for buffer in module.buffers() if buffer.is_floating_point())
