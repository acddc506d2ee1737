"""What experiment trackers are told of a run, with TensorBoard's names, and the id by which they know it."""

import importlib.util
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from src.errors import first_line, require
from src.files import read_text, write_text
from src.loggers.logger import Row, RunStart
from src.loggers.tensorboard import TAGS
from src.metrics import Metrics
from src.result import Status
from src.run_dir import RunDir

log = logging.getLogger("cifarlab")

ENDED_WELL = (Status.COMPLETED, Status.PAUSED)


class Outage:
    """Turns the failures of a tracker into one warning: the training goes on without it.

    Args:
        tracker: its name.
        kinds: what its library raises; a full disk is not among them.
    """

    def __init__(self, tracker: str, *kinds: type[Exception]) -> None:
        self.tracker, self.kinds, self.happened = tracker, kinds, False

    @contextmanager
    def warned_of(self) -> Iterator[None]:
        try:
            yield
        except self.kinds as error:
            if not self.happened:
                log.warning(
                    f"WARNING: {self.tracker} does not take the run's numbers ({first_line(error)}); the training goes "
                    "on, and they are in history.csv and result.json, too"
                )
            self.happened = True


def require_package(name: str) -> None:
    """Raises UserError where the tracker's package is not installed; `name` is that of the logger and the extra too."""
    found = importlib.util.find_spec(name) is not None
    require(found, f'logger={name} needs {name}: pip install -e ".[{name}]"')


def load_id(run: RunStart, tracker: str) -> str | None:
    """The id of the tracker's run that `run` continues; None for a run that begins."""
    path = id_file(run.run_dir, tracker)
    continues = bool(run.history) or run.run_dir.has_checkpoint
    return read_text(path).strip() if continues and path.exists() else None


def save_id(run: RunStart, tracker: str, run_id: str) -> None:
    write_text(id_file(run.run_dir, tracker), f"{run_id}\n")


def id_file(run_dir: RunDir, tracker: str) -> Path:
    """The file in the run's folder that holds the id of the tracker's run."""
    return run_dir.path / f"{tracker}_run_id.txt"


def sweep_of(run_dir: RunDir) -> str | None:
    """The name of the sweep's folder; None for a run of its own."""
    return run_dir.path.absolute().parent.name if run_dir.load_result().get("swept") else None


def epoch_numbers(row: Row) -> dict[str, float]:
    """What was measured in an epoch: {"accuracy/val": 0.4}."""
    return {tag: row[name] for tag, name in TAGS.items() if row[name] is not None}


def final_numbers(metrics: Mapping[str, Metrics]) -> dict[str, float]:
    """The final evaluation: {"test/accuracy": 0.4, "test/loss": 2.1}."""
    names = {"accuracy": "top1", "top5": "top5", "superclass": "superclass", "loss": "loss", "ece": "ece"}
    measured = {part: asdict(each) for part, each in metrics.items()}
    numbers = {f"{part}/{tag}": each[name] for part, each in measured.items() for tag, name in names.items()}
    return {tag: number for tag, number in numbers.items() if number is not None}
