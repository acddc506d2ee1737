"""TensorBoard events of a run, all in its own folder: one run there is one run in TensorBoard.

TensorBoard opens the first two groups of tags in alphabetical order, so these are `accuracy` and `loss`.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

from matplotlib.figure import Figure
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from src.config import GROUPS, TYPED_NODES
from src.loggers.logger import Logger, Row, RunStart
from src.metrics import Metrics
from src.plots import image_grid
from src.result import Status

SUFFIX = ".run"  # of a run's event files: no other event file is replaced
TAGS = {
    "accuracy/train": "train_top1",
    "accuracy/val": "val_top1",
    "loss/train": "train_loss",
    "loss/val": "val_loss",
    "lr": "lr",
    "performance/images_per_second": "images_per_second",
}
LAYOUT = {
    "training and validation": {
        "accuracy": ["Multiline", ["accuracy/train", "accuracy/val"]],
        "loss": ["Multiline", ["loss/train", "loss/val"]],
    }
}
# The same columns of the hparams table for all runs, whatever their model and optimizer.
COLUMNS = (
    *(group for group in GROUPS if group not in ("logger", "experiment")),
    "seed",
    *(f"{node}.{entry.name}" for node in ("data", "trainer") for entry in fields(TYPED_NODES[node])),
    *("model.width", "model.dropout", "optimizer.lr", "optimizer.weight_decay", "optimizer.momentum"),
)


class TensorBoardLogger(Logger):
    def on_run_start(self, run: RunStart) -> None:
        self.run = run
        folder, next_epoch = run.run_dir.path, len(run.history) + 1
        if not run.history:  # a start that was killed before its first epoch left texts and pictures: all come again
            for events in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
                events.unlink()
        self.hook = threading.excepthook
        threading.excepthook = self._hide_os_errors
        with self._telling():
            # what was written for the next epoch and later ones is dropped: it is done again
            purge_step = next_epoch if run.history else 0
            self.writer = SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=SUFFIX)
            if run.history:
                return
            self.writer.add_custom_scalars(LAYOUT)
            self.writer.add_text("config", _preformatted(run.run_dir.config_file.read_text()), 0)
            self.writer.add_text("network", _preformatted(run.summary), 0)
            self.writer.add_image("predictions/training_images", image_grid(run.sample_images), 0, dataformats="HWC")

    def on_epoch_end(self, history: Sequence[Row], is_best: bool) -> None:
        row = history[-1]
        with self._telling():
            for tag, name in TAGS.items():
                if row[name] is not None:
                    self.writer.add_scalar(tag, row[name], row["epoch"])
            self.writer.flush()

    def on_run_end(self, history: Sequence[Row], metrics: Mapping[str, Metrics], figures: Mapping[str, Figure]) -> None:
        """The final numbers stand at the step after the last epoch, so that a resumed run drops them."""
        step = len(history) + 1
        numbers = {"test/accuracy": metrics["test"].top1, "test/loss": metrics["test"].loss}
        with self._telling():
            for event in hparam_events(self.run, numbers):
                self.writer._get_file_writer().add_summary(event)  # `add_hparams` makes a run of its own in TensorBoard
            for tag, value in numbers.items():
                self.writer.add_scalar(tag, value, step)
            for name in ("mistakes", "confused_pairs", "confusion_matrix", "reliability"):
                if name in figures:
                    self.writer.add_figure(f"predictions/{name}", figures[name], step)
            self.writer.flush()

    def close(self, status: Status) -> None:
        try:
            with self._telling():
                self.writer.close()
        finally:
            threading.excepthook = self.hook

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Names the file of an OSError: the writer's thread meets it, and the next call here raises it."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{self.run.run_dir.path}/events.out.tfevents...") from error

    def _hide_os_errors(self, arguments: threading.ExceptHookArgs) -> None:
        """Instead of the traceback of the writer's thread, whose OSError is raised by the next call too.

        Harmless where a failed start leaves it in place: it hides nothing else.
        """
        if not (issubclass(arguments.exc_type, OSError) and type(arguments.thread).__name__ == "_AsyncWriterThread"):
            self.hook(arguments)


def hparam_events(run: RunStart, metrics: Mapping[str, float]) -> tuple[Summary, Summary, Summary]:
    """The run's row of the hparams table.

    TensorBoard takes the columns from one of the runs and shows five of them: those that differ first, then the others,
    in alphabetical order. So every run has the same columns, and those that the sweep, or else the command line, named
    are marked as differing.
    """
    result, settings = run.run_dir.load_result(), asdict(run.config)
    choices, overridden = result.get("choices", {}), result.get("overridden", [])
    row = {
        name: _shown(choices.get(name) if name in GROUPS else _select(settings, name))
        for name in dict.fromkeys((*overridden, *COLUMNS))
    }
    experiment, start, end = hparams(row, dict(metrics))
    plugin = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(plugin.content)
    for column in content.experiment.hparam_infos:
        column.differs = column.name in (result.get("swept") or overridden)
    plugin.content = content.SerializeToString()
    return experiment, start, end


def _select(settings: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, Mapping) else None
    return settings


def _shown(value: Any) -> bool | int | float | str:
    """TensorBoard takes numbers, booleans and strings."""
    if value is None:
        return "-"
    return value if isinstance(value, bool | int | float | str) else str(value)


def _preformatted(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
