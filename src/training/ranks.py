"""The processes that train one run together, each on its own device and on its own rows of every batch."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from src.errors import UserError

Result = TypeVar("Result")
COLLECTIVE = re.compile(r"gloo|nccl|Connection (closed|reset)|Broken pipe|Socket", re.IGNORECASE)
DAYS = timedelta(days=30)


@dataclass(frozen=True)
class Ranks:
    """A process among `size` that train one run together; alone by default; then nothing is exchanged.

    All of them run the same program. Each draws the same order of images and the same augmentation, and puts its own
    rows of the batch through the network. The sums over all ranks are the same bits everywhere, so the weights stay
    equal without being sent. Rank 0 alone, the leader, writes files and messages.
    """

    rank: int = 0
    size: int = 1
    store: dist.Store | None = None

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Ranks":
        return self  # a copy of a network has the same ranks; the store cannot be copied

    @property
    def is_leader(self) -> bool:
        return self.rank == 0

    @property
    def dropout_seed(self) -> tuple[int, ...]:
        """Added to what seeds dropout, so that each rank draws masks of its own; empty for the leader."""
        return () if self.is_leader else (self.rank,)

    def own_rows(self, tensor: Tensor) -> Tensor:
        """This rank's rows of a batch; none where the batch has fewer rows than there are ranks."""
        return tensor.tensor_split(self.size)[self.rank] if self.size > 1 else tensor

    def sum(self, tensor: Tensor) -> Tensor:
        """`tensor` itself, which now holds the sum over all ranks."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, weights: Iterable[Tensor]) -> None:
        """Replaces each gradient by its sum over all ranks, by one message for each dtype.

        DistributedDataParallel sends parts of it during the backward pass, but would have to be told about
        accumulation and SAM, and divides by the number of ranks, which is wrong for uneven rows.
        """
        if self.size == 1:
            return
        grads: dict[torch.dtype, list[Tensor]] = {}
        for weight in weights:
            if weight.grad is not None:
                grads.setdefault(weight.grad.dtype, []).append(weight.grad)
        for group in grads.values():
            flat = self.sum(torch.cat([grad.reshape(-1) for grad in group]))
            parts = flat.split([grad.numel() for grad in group])
            torch._foreach_copy_(group, [part.view_as(grad) for part, grad in zip(parts, group, strict=True)])

    def largest(self, number: int) -> int:
        """The largest `number` of all ranks: so they agree on a signal that one of them has received."""
        if self.size == 1:
            return number
        tensor = torch.tensor(number)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def share(self, value: Any) -> Any:
        """The leader's `value`, of any type that pickle knows."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def share_weights(self, model: nn.Module) -> None:
        """Gives `model` the leader's parameters and buffers."""
        self.share_tensors(model.state_dict().values())

    def share_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites `tensors` by the leader's."""
        if self.size == 1:
            return
        for tensor in tensors:
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, 0)
            tensor.detach().copy_(sent)

    def leader_first(self, work: Callable[[], Result]) -> Result:
        """What `work` returns; the others begin when the leader has ended: it may download, or fill a cache."""
        if self.size == 1:
            return work()
        if not self.is_leader:
            self.store.wait(["leader_first"], DAYS)
            return work()
        try:
            return work()
        finally:
            self.store.set("leader_first", "done")

    def require_equal(self, value: str, name: str) -> None:
        """Raises UserError where this rank has another `value` than the leader."""
        if self.share(value) != value:
            raise UserError(f"{name} of process {self.rank} differs from that of process 0; give both the same.")


ALONE = Ranks()


def is_lost_connection(error: BaseException) -> bool:
    """Whether a collective failed because another rank has ended."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and bool(COLLECTIVE.search(str(error)))
