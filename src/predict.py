"""Classifies images of any size with a run's model: `python -m src.predict run=... images='*.png'`; see `--help`."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, ListConfig

from src.cli import run_command
from src.data.image_paths import find_images
from src.errors import require
from src.files import write_text
from src.folder_accuracy import count_correct, describe_accuracy, format_classes, label_of
from src.prediction_formats import Ranked, choose_format, format_predictions
from src.progress import progress_bar

if TYPE_CHECKING:  # slow to import
    from torch import Tensor

    from src.training.trained_model import TrainedModel

SHEET_IMAGES = 24


def predict(config: DictConfig) -> None:
    """Prints the most probable classes of every image, or writes them to a file; bad files are named and skipped."""
    require(bool(config.run), "run is missing; name it, as in run=outputs/<run>")
    require(config.top >= 1, f"top={config.top} must be at least 1")
    form = choose_format(config.format, config.to)
    paths = find_images(as_names(config.images))
    for name in ("to", "sheet"):
        check_place(name, config[name], paths)
    require(
        not config.sheet or config.sheet.lower().endswith(".png"), f"sheet={config.sheet} must be a PNG file: sheet.png"
    )

    from src.training.trained_model import load_trained

    trained = load_trained(config.run, config.checkpoint, config.device, config.trust)
    predictions, first_images = classify(trained, paths, config.top, config.tta_flip)
    text = format_predictions(predictions, form)
    if config.to:
        write_text(Path(config.to), text)
        print(f"{len(predictions):,} images are classified in {config.to}")
    else:
        sys.stdout.write(text)
    tell_accuracy(predictions, trained.classes.names, is_for_people=bool(config.to) or form == "table")
    if config.sheet:
        draw_sheet(Path(config.sheet), predictions, first_images, trained.classes.names)


def as_names(images: object) -> str | list[str]:
    """What `images` holds: one file, folder or pattern, or a list of them. Raises UserError for anything else."""
    require(images is not None and images not in ("", []), "images is missing; name it, as in images='path/*.png'")
    if not isinstance(images, ListConfig):
        return str(images)  # a file may be named 3
    require(all(isinstance(each, str | int) for each in images), f"images={images} must be a list of names")
    return list(map(str, images))


def check_place(name: str, file: str | None, images: Sequence[str]) -> None:
    """Raises UserError where the setting `name` says to write what could not be written, or would destroy an image."""
    if file is None:
        return
    require(bool(file), f"{name} names no file; leave it out, or name one")
    folder = os.path.dirname(file) or "."
    require(os.path.isdir(folder), f"{name}={file} cannot be written: there is no folder {folder}")
    require(not os.path.isdir(file), f"{name}={file} is a folder; name a file in it")
    require(os.access(folder, os.W_OK), f"{name}={file} cannot be written: permission denied; choose another folder")
    is_image = os.path.exists(file) and any(os.path.exists(path) and os.path.samefile(file, path) for path in images)
    require(not is_image, f"{name}={file} is one of the images; choose another name")


def classify(
    trained: "TrainedModel", paths: Sequence[str], top: int, tta_flip: bool | None
) -> tuple[dict[str, Ranked], "Tensor"]:
    """The `top` classes of each image that can be read, by path, and the first images (n, 3, size, size) uint8.

    Names the others on standard error. Raises UserError where no image can be read.
    """
    import torch

    from src.data.image_batches import read_in_batches

    names, predictions, first_images, problems = trained.classes.names, {}, [], []
    with progress_bar("classifying", len(paths)) as advance:
        for batch in read_in_batches(paths, trained.config.data, advance):
            problems += batch.problems
            if batch.paths:
                best = trained.probabilities(batch.images, tta_flip).topk(min(top, len(names)), dim=1)
                for path, labels, values in zip(batch.paths, best.indices.tolist(), best.values.tolist(), strict=True):
                    predictions[path] = [(names[label], value) for label, value in zip(labels, values, strict=True)]
                first_images.append(batch.images[: SHEET_IMAGES - sum(map(len, first_images))].clone())
    tell_problems(problems, len(paths))
    return predictions, torch.cat(first_images)


def tell_problems(problems: Sequence[str], num_files: int) -> None:
    """Names the files that are skipped, and counts them. Raises UserError where they are all that there are."""
    require(len(problems) < num_files or num_files > 1, "".join(problems).removesuffix("."))
    for problem in problems:
        print(f"skipped: {problem}", file=sys.stderr)
    require(len(problems) < num_files, f"none of the {num_files:,} files can be read as an image")
    if problems:
        print(f"{len(problems):,} of {num_files:,} files are skipped.", file=sys.stderr)


def tell_accuracy(predictions: Mapping[str, Ranked], names: Sequence[str], is_for_people: bool) -> None:
    """Prints the accuracy of images whose folders are named after classes; beside JSON or CSV, on standard error."""
    counts = count_correct({path: ranked[0][0] for path, ranked in predictions.items()}, names)
    if not counts:
        return
    accuracy = describe_accuracy(counts, len(predictions))
    if is_for_people and len(counts) > 1:
        accuracy = f"{format_classes(counts)}\n\n{accuracy}"
    print(f"\n{accuracy}" if is_for_people else accuracy, file=sys.stdout if is_for_people else sys.stderr)


def draw_sheet(file: Path, predictions: Mapping[str, Ranked], images: "Tensor", names: Sequence[str]) -> None:
    """Draws the first images with their predictions."""
    from src.plots import plot_predictions, save

    drawn = list(predictions.items())[: len(images)]
    save(
        plot_predictions(images, [ranked[0] for _, ranked in drawn], [label_of(path, names) for path, _ in drawn]), file
    )
    print(f"{file} shows the first {len(drawn)} of {len(predictions):,} images", file=sys.stderr)


def main() -> None:
    run_command("predict", predict)


if __name__ == "__main__":
    main()
