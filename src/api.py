"""cifarlab for Python programs and notebooks: `from src import api`. docs/how_to/python_api.md explains it.

What a user can mend is raised as UserError, with the sentence that the command line prints.
"""

import glob
import os
import shlex
import signal
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from src.analysis.runs import collect, read_record
from src.compose import composed, explained
from src.config import RunConfig
from src.errors import Interrupted, UserError
from src.loggers.history_csv import read_history
from src.loggers.logger import Row
from src.run_dir import RunDir, find_run, relative
from src.start import train_in

if TYPE_CHECKING:  # slow to import
    from torch import Tensor, nn

    from src.training.trained_model import TrainedModel

__all__ = ["Classified", "Run", "UserError", "load_run", "load_runs", "train"]


class Classified(NamedTuple):
    """`classes`: the most probable class of each image; `probabilities` (N, num_classes) float32, on the CPU."""

    classes: list[str]
    probabilities: "Tensor"


class Run:
    """One run, as its folder tells it; `load_run` and `train` make it."""

    def __init__(self, run_dir: RunDir, checkpoint: str | None, device: str, trust: bool) -> None:
        self._run_dir, self._checkpoint, self._device, self._trust = run_dir, checkpoint, device, trust

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {read_record(self._run_dir).status})"

    @property
    def path(self) -> Path:
        """The folder."""
        return self._run_dir.path

    @cached_property
    def config(self) -> RunConfig:
        """The settings: `run.config.trainer.epochs`."""
        return self._run_dir.load_config()

    @property
    def result(self) -> dict[str, Any]:
        """The content of result.json: `run.result["metrics"]["test"]["top1"]`; docs/run_folder.md has the keys."""
        return self._run_dir.load_result()

    @property
    def history(self) -> list[Row]:
        """One row per epoch, as in history.csv: `run.history[-1]["val_top1"]`. Empty before the first epoch."""
        return read_history(self._run_dir.history_file) if self._run_dir.history_file.exists() else []

    @property
    def model(self) -> "nn.Module":
        """The network with the weights of the checkpoint, in evaluation mode, on its device.

        Its input is normalized images, float32 (N, 3, H, W); `predict` takes files and uint8 images.
        """
        return self._trained.classifier.model.eval()

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the logits."""
        return self._trained.classes.names

    def predict(self, images: Any) -> Classified:
        """Classifies images of any size, and their mirror images too where the run has trainer.tta_flip.

        Args:
            images: a path, a list of paths, an image of Pillow, a list of these, or a uint8 tensor or array (N, 3, H,
                W) or (N, H, W, 3) of RGB.

        Raises UserError for other inputs, and for a file that is missing or no image.
        """
        import torch

        from src.data.image_inputs import batch_images
        from src.training.process_state import kept_process_state

        batches = batch_images(images, self.config.data)
        with kept_process_state():
            probabilities = torch.cat([self._trained.probabilities(batch) for batch in batches])
        return Classified([self.class_names[label] for label in probabilities.argmax(dim=1).tolist()], probabilities)

    @cached_property
    def _trained(self) -> "TrainedModel":
        from src.training.process_state import kept_process_state
        from src.training.trained_model import load_trained

        with explained("predict"), kept_process_state():
            return load_trained(str(self.path), self._checkpoint, self._device, self._trust)


def train(overrides: Sequence[str] = ()) -> Run:
    """Trains one run in this process, as `python -m src.train <overrides>` does, and returns it.

    `["resume=outputs/<run>"]` continues a run. Nothing that the caller has set up is changed: logging, signal handlers,
    random numbers, Hydra.

    Raises UserError for what the user can mend. After Ctrl-C everything is saved, then KeyboardInterrupt is raised.
    """
    command, signal_number = shlex.join(["python", "-m", "src.train", *overrides]), None
    try:
        with explained("train"), composed("train", overrides) as (config, hydra):
            from src.training.process_state import kept_process_state  # imports torch: settings are checked first

            run_dir = RunDir(relative(Path(hydra.run.dir).absolute()))
            with run_dir.locked(), kept_process_state():
                train_in(run_dir, config, hydra, command)
    except Interrupted as interruption:
        signal_number = interruption.signal_number
    if signal_number:
        signal.raise_signal(signal_number)  # all is saved: now the caller's own handler decides
    return Run(run_dir, checkpoint=None, device="auto", trust=True)


def load_run(path: str | Path, checkpoint: str | None = None, device: str = "auto", trust: bool = False) -> Run:
    """The run in the folder `path`; its network is loaded when it is first used.

    Args:
        path: the folder; a relative one is below the current folder, `~` is the home folder.
        checkpoint: "best" or "last"; None: the one that the run itself evaluated.
        device: "auto", "cpu" or "cuda".
        trust: load code of others that the run's config names.
    """
    return Run(find_run(path), checkpoint, device, trust)


def load_runs(places: str | Path | Sequence[str | Path]) -> list[dict[str, Any]]:
    """One row for each run in these folders and below them: `pandas.DataFrame(api.load_runs("outputs"))`.

    A place is a folder or a pattern: "outputs/2026-*". The columns are `run`, `status`, `reason`, `epochs`, `seconds`,
    the choices ("model") and settings ("optimizer.lr") of the run, and its metrics, named as in result.json
    ("metrics.test.top1").
    """
    places = [places] if isinstance(places, str | os.PathLike) else places
    found = [path for place in places for path in _match(os.path.expanduser(place))]
    return [
        {
            "run": str(record.run_dir.path),
            "status": str(record.status),
            "reason": record.reason,
            "epochs": record.epochs,
            "seconds": record.seconds,
            **record.choices,
            **record.settings,
            **record.metrics,
        }
        for record in collect(found)
    ]


def _match(place: str) -> list[str]:
    """The folder of that name, or the folders that match."""
    if os.path.isdir(place):
        return [place]
    return sorted(path for path in glob.glob(place, recursive=True) if os.path.isdir(path)) or [place]
