"""A training step's kernels as a CUDA graph, which the GPU runs without waiting for Python."""

import gc
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor

from src.config import RunConfig
from src.errors import UserError, first_line
from src.nodes import find_targets
from src.training.device import Placement

Step = Callable[..., tuple[Tensor, ...]]
KNOWN = (  # modules whose classes are known to do the same in every step
    *(f"src.models.{name}." for name in ("convnet", "speedrun", "resnet", "preact_resnet", "vgg", "torchvision_cifar")),
    "src.data.augment.", "src.data.auto_augment.", "torchvision.transforms.",
    "src.training.balanced_loss.", "src.optim.muon.", "torch.optim.", "torch.nn.",
)  # fmt: skip


class CapturedStep:
    """Calls `step` once for each shape of inputs, and replays its CUDA graph from the second call on.

    A graph repeats the same kernels on the same memory: `step` must return tensors on the GPU, read no number back, and
    find the gradients that it adds to where they were (`zero_grad(set_to_none=False)`). The next call overwrites the
    results. Arguments that are no tensors, nor tuples of them, are part of the graph.
    """

    def __init__(self, step: Step) -> None:
        gc.collect()  # frees the graphs of an earlier run, which are reference cycles
        torch.cuda.empty_cache()
        self.step = step
        self.graphs: dict[Hashable, _Graph] = {}
        self.warm: set[Hashable] = set()
        self.memory = torch.cuda.graph_pool_handle()  # one graph runs at a time, so all use the same
        self.stream = torch.cuda.Stream()

    def __call__(self, *arguments: Any) -> tuple[Tensor, ...]:
        key = _shape_of(arguments)
        if key not in self.warm:
            self.warm.add(key)
            return self._warm_up(arguments)
        if key not in self.graphs:
            self.graphs[key] = _Graph(self.step, arguments, self.memory)
        return self.graphs[key].replay(arguments)

    def _warm_up(self, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """Calls `step` itself, on a side stream as PyTorch's notes on CUDA graphs require; cuDNN chooses kernels."""
        present = torch.cuda.current_stream()
        self.stream.wait_stream(present)
        with torch.cuda.stream(self.stream):
            results = self.step(*arguments)
        present.wait_stream(self.stream)
        for tensor in results:
            tensor.record_stream(present)
        return results


class _Graph:
    """The CUDA graph of one call of `step`. Raises UserError where `step` cannot be captured."""

    def __init__(self, step: Step, arguments: tuple[Any, ...], memory: Any) -> None:
        self.arguments = _copy(arguments)
        self.graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self.graph, pool=memory, capture_error_mode="thread_local"):
                self.results = step(*self.arguments)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise UserError(
                f"the training step cannot be captured as a CUDA graph ({first_line(error).rstrip('.')}); "
                "use trainer.cuda_graph=false."
            ) from error

    def replay(self, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
        for mine, given in zip(_tensors(self.arguments), _tensors(arguments), strict=True):
            mine.copy_(given)
        self.graph.replay()
        return self.results


def can_capture(config: RunConfig, placement: Placement) -> bool:
    """Whether the step is captured: as trainer.cuda_graph says, else for parts of this project, PyTorch, torchvision.

    Others may read numbers back, replace the gradients, or do something else at each step, which a graph would repeat
    unchanged. Not with several ranks, which exchange messages within a step, nor with init.unfreeze_epochs, which
    changes the step, nor with trainer.profile: the kernels of a graph belong to no operator.
    """
    changes = config.init.unfreeze_epochs is not None or config.trainer.profile
    if placement.device.type != "cuda" or placement.ranks.size > 1 or changes:
        return False
    if config.trainer.cuda_graph is not None:
        return config.trainer.cuda_graph
    parts = [config.model, config.loss, config.optimizer, config.augmentation if config.data.augment else {}]
    return all(target.startswith(KNOWN) for target in find_targets(parts))


def _shape_of(argument: Any) -> Hashable:
    if isinstance(argument, tuple):
        return tuple(map(_shape_of, argument))
    return (argument.shape, argument.dtype) if isinstance(argument, Tensor) else argument


def _copy(argument: Any) -> Any:
    if isinstance(argument, tuple):
        return tuple(map(_copy, argument))
    return argument.clone() if isinstance(argument, Tensor) else argument


def _tensors(argument: Any) -> Iterator[Tensor]:
    if isinstance(argument, tuple):
        for part in argument:
            yield from _tensors(part)
    elif isinstance(argument, Tensor):
        yield argument
