"""TensorBoard events of a run. Its folder is the main writer; `train` and `val` beside it make paired curves."""

from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from src.results import figures
from src.results.history import Row


class Board:
    """An observer of the training loop. What the folder holds from `purge_step` on is dropped: it is done again."""

    def __init__(self, path: Path, purge_step: int = 0) -> None:
        self.main = SummaryWriter(str(path), purge_step=purge_step)
        self.train = SummaryWriter(str(path / "train"), purge_step=purge_step)
        self.val = SummaryWriter(str(path / "val"), purge_step=purge_step)

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_exception: object) -> None:
        for writer in (self.main, self.train, self.val):
            writer.close()

    def looked(self, epoch: int, batch: int, images: int, loss_sum: float) -> None:
        """Nothing: a chart has one point per epoch."""

    def epoch_ended(self, row: Row, is_best: bool) -> None:
        epoch = row["epoch"]
        for name, part in (("train", self.train), ("val", self.val)):
            if row[f"{name}_loss"] is not None:
                part.add_scalar("loss", row[f"{name}_loss"], epoch)
                part.add_scalar("top1", row[f"{name}_top1"], epoch)
        self.main.add_scalar("lr", row["lr"], epoch)
        self.main.add_scalar("images_per_second", row["images_per_second"], epoch)
        for writer in (self.main, self.train, self.val):
            writer.flush()

    def opening(self, config_yaml: str, summary: str, images: Any) -> None:
        """The config and the network as text, and training images as the network gets them."""
        self.main.add_text("config", _preformatted(config_yaml), 0)
        self.main.add_text("network", _preformatted(summary), 0)
        self.main.add_image("training_images", figures.image_grid(images), 0, dataformats="HWC")

    def closing(
        self, settings: dict[str, int | float | str], metrics: dict[str, float], confusion: Any, epochs: int
    ) -> None:
        """The row of the hparams table, and the confusion matrix, as step `epochs` + 1: a resumed run drops them.

        Through the main writer: `SummaryWriter.add_hparams` would make a folder, a run of its own, for it.
        """
        for event in hparams(settings, metrics):
            self.main._get_file_writer().add_summary(event)
        for name, value in metrics.items():
            self.main.add_scalar(name, value, epochs + 1)
        self.main.add_figure("confusion_matrix", confusion, epochs + 1)


def _preformatted(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
