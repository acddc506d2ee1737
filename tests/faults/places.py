"""Named places in src: a process says at which it is, and kills itself at the one that it is told."""

import functools
import importlib
import mmap
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

PLACES = {
    "settings": "src.parsing.parse_config",
    "data": "src.training.build.load_splits",
    "model": "src.training.build.build_model",
    "restoring": "src.training.checkpoint.restore",
    "training": "src.training.trainer.Trainer.train_epoch",
    "validation": "src.training.trainer.Trainer.validate",
    "evaluation at a pause": "src.training.final_eval.evaluate_at_pause",
    "final evaluation": "src.training.final_eval.evaluate_run",
    "predictions": "src.training.run.save_predictions_of",
    "figures": "src.training.run.save_figures",
    "end of history.csv": "src.loggers.history_csv.HistoryCsvLogger.on_run_end",
    "end of TensorBoard": "src.loggers.tensorboard.TensorBoardLogger.on_run_end",
    "closing of TensorBoard": "src.loggers.tensorboard.TensorBoardLogger.close",
    "jobs of a sweep": "src.sweeps.sweep.Sweep.prepare",
    "table of a sweep": "src.analysis.sweep_table.write_sweep",
}
WRITER = "src.files.write_atomically"  # its places are called after the files: "writing last.pt"
NAME_BYTES = 64


@dataclass(frozen=True)
class Kill:
    """Where a process kills itself: at `event` of the `call`-th call of a place.

    Events are the calls and returns inside it; 0 is before it, one that never comes is after it.
    """

    place: str
    call: int
    event: int


class Board:
    """A file in memory by which another process reads at which place this one is, even after its death."""

    def __init__(self, path: Path) -> None:
        path.touch()
        os.truncate(path, NAME_BYTES)
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), NAME_BYTES)

    def write(self, place: str) -> None:
        self.memory[:] = place.encode()[:NAME_BYTES].ljust(NAME_BYTES)

    def read(self) -> str:
        return self.memory[:].decode().strip(" \0")


@dataclass
class Watch:
    """Wraps every place; counts the calls and, with `counting`, the events inside each call."""

    board: Board
    kill: Kill | None = None
    counting: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    counts: dict[str, list[int]] = field(default_factory=dict)
    events: int = 0
    entered: list[str] = field(default_factory=list)

    def install(self) -> None:
        """Replaces the places, wherever a module of src has imported them to."""
        for place, target in PLACES.items():
            replace_function(target, functools.partial(self.wrap, name=lambda *_, place=place: place))
        replace_function(WRITER, functools.partial(self.wrap, name=lambda path, *_: f"writing {Path(path).name}"))
        if self.counting:
            sys.setprofile(self._count)

    def wrap(self, function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        """The function, which says on the board when it is entered and left."""

        @functools.wraps(function)
        def watched(*arguments: Any, **named: Any) -> Any:
            place, before = name(*arguments), self.events
            self.calls[place] += 1
            self.entered.append(place)
            self.board.write(place)
            is_last = self.kill is not None and (place, self.calls[place]) == (self.kill.place, self.kill.call)
            if is_last:
                self.events = 0
                sys.setprofile(self._count)
                self._die_if_due()
            try:
                return function(*arguments, **named)
            finally:
                if is_last:
                    die()
                self.counts.setdefault(place, []).append(self.events - before)
                self.entered.pop()
                self.board.write(self.entered[-1] if self.entered else f"after {place}")

        return watched

    def _count(self, _frame: FrameType, _event: str, _argument: object) -> None:
        self.events += 1
        self._die_if_due()

    def _die_if_due(self) -> None:
        if self.kill and self.events >= self.kill.event:
            die()


def replace_function(target: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Wraps the function or method of this name in its class, or in every module of src and plugin that imported it."""
    parent, _, name = target.rpartition(".")
    if parent.rpartition(".")[2][0].isupper():
        module, _, owner = parent.rpartition(".")
        holder = getattr(importlib.import_module(module), owner)
        setattr(holder, name, wrap(getattr(holder, name)))
        return
    original = getattr(importlib.import_module(parent), name)
    wrapped = wrap(original)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(("src.", "hydra_plugins")) and getattr(module, name, None) is original:
            setattr(module, name, wrapped)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
