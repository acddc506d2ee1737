"""What a finished run leaves beside numbers: logits, the table of classes, pictures."""

import csv
import io
from collections.abc import Callable
from dataclasses import asdict

from matplotlib.figure import Figure
from torch import Tensor

from src import plots
from src.calibration import Reliability, measure_reliability
from src.data.split import Splits
from src.files import write_text
from src.loggers.logger import Row
from src.metrics import confusion_matrix, per_class
from src.predictions import Predictions, save_predictions
from src.run_dir import RunDir
from src.training.final_eval import Evaluation
from src.training.messages import log


def save_predictions_of(run_dir: RunDir, evaluation: Evaluation, splits: Splits) -> None:
    """Writes test_logits.pt, val_logits.pt where images are held out, and per_class.csv, hardest class first."""
    for part, file in (("test", run_dir.test_logits_file), ("val", run_dir.val_logits_file)):
        if part in evaluation.logits:
            labels = {"test": splits.test, "val": splits.validation}[part].labels
            save_predictions(file, Predictions(evaluation.logits[part], labels, splits.classes))
    rows = per_class(_confusion(evaluation.logits["test"], splits), splits.classes)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(run_dir.per_class_file, text.getvalue())


def save_figures(
    run_dir: RunDir, history: list[Row], splits: Splits, evaluation: Evaluation, watches_test: bool
) -> dict[str, Figure]:
    """Writes the run's pictures into figures/; those without content are left out.

    A picture that fails is one line in the log: the run's results are complete without it.
    """
    figures = {}
    for name, plot in list_figures(history, splits, evaluation, watches_test).items():
        path = run_dir.figures_dir / f"{name}.png"
        try:
            figure = plot()
            if figure is None:
                continue
            plots.save(figure, path)
        except OSError:  # a full disk: the run fails, and a resume draws again
            raise
        except Exception as error:  # whatever a font may raise
            log.warning(f"{path} could not be drawn: {' '.join(str(error).split())}")
            continue
        figures[name] = figure
    return figures


def list_figures(
    history: list[Row], splits: Splits, evaluation: Evaluation, watches_test: bool
) -> dict[str, Callable[[], Figure | None]]:
    """What draws each picture, by the name of its file."""
    watched, logits = "test set" if watches_test else "validation", evaluation.logits["test"]
    confusion = _confusion(logits, splits)
    pictures = {
        "samples": lambda: plots.plot_samples(splits.train, splits.classes),
        "confusion_matrix": lambda: plots.plot_confusion(confusion, splits.classes),
        "confused_pairs": lambda: plots.plot_confused_pairs(confusion, splits.classes),
        "mistakes": lambda: plots.plot_mistakes(splits.test, logits, splits.classes),
        "reliability": lambda: plots.plot_reliability(_reliability(evaluation, splits)),
    }
    if history:
        pictures["accuracy"] = lambda: plots.plot_curves(history, "top1", "accuracy", watched)
        pictures["loss"] = lambda: plots.plot_curves(history, "loss", "loss", watched)
    return pictures


def _reliability(evaluation: Evaluation, splits: Splits) -> dict[str, Reliability]:
    """Of the test images: as evaluated and, where it could be fitted, with the temperature."""
    logits, labels = evaluation.logits["test"], splits.test.labels
    parts = {"as trained": measure_reliability(logits, labels)}
    if evaluation.calibration:
        temperature = evaluation.calibration.temperature
        parts[f"temperature {temperature:.2f}"] = measure_reliability(logits / temperature, labels)
    return parts


def _confusion(logits: Tensor, splits: Splits) -> Tensor:
    return confusion_matrix(logits.argmax(dim=1), splits.test.labels, len(splits.classes.names))
