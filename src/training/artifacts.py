"""What a finished run leaves beside numbers: logits, the table of classes, pictures."""

import csv
import io
from collections.abc import Callable
from dataclasses import asdict

from matplotlib.figure import Figure
from torch import Tensor

from src import plots
from src.data.split import Splits
from src.files import write_text
from src.loggers.base import Row
from src.metrics import confusion_matrix, per_class
from src.predictions import Predictions, save_predictions
from src.run_dir import RunDir
from src.training.messages import log


def save_test_results(run_dir: RunDir, logits: Tensor, splits: Splits) -> None:
    """Writes test_logits.pt, and per_class.csv, hardest class first."""
    save_predictions(run_dir.test_logits_file, Predictions(logits, splits.test.labels, splits.classes))
    rows = per_class(_confusion(logits, splits), splits.classes)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(run_dir.per_class_file, text.getvalue())


def save_figures(
    run_dir: RunDir, history: list[Row], splits: Splits, logits: Tensor, watches_test: bool
) -> dict[str, Figure]:
    """Writes the run's pictures into figures/; no curves where no epoch was completed.

    A picture that fails is one line in the log: the run's results are complete without it.
    """
    watched = "test set" if watches_test else "validation"
    pictures: dict[str, Callable[[], Figure]] = {
        "samples": lambda: plots.plot_samples(splits.train, splits.classes),
        "confusion_matrix": lambda: plots.plot_confusion(_confusion(logits, splits), splits.classes),
    }
    if history:
        pictures["accuracy"] = lambda: plots.plot_curves(history, "top1", "accuracy", watched)
        pictures["loss"] = lambda: plots.plot_curves(history, "loss", "loss", watched)
    figures = {}
    for name, plot in pictures.items():
        path = run_dir.figures_dir / f"{name}.png"
        try:
            figure = plot()
            plots.save(figure, path)
        except OSError:  # a full disk: the run fails, and a resume draws again
            raise
        except Exception as error:  # whatever a font may raise
            log.warning(f"{path} could not be drawn: {' '.join(str(error).split())}")
            continue
        figures[name] = figure
    return figures


def _confusion(logits: Tensor, splits: Splits) -> Tensor:
    return confusion_matrix(logits.argmax(dim=1), splits.test.labels, len(splits.classes.names))
