"""The accuracy of predictions where folders are labels: an image at photos/apple/1.png is an apple."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from src.formatting import format_table, percent, printable

Counts = dict[str, tuple[int, int]]  # by class: images that are classified correctly, images


def label_of(path: str, classes: Collection[str]) -> str | None:
    """The class after which the image's folder is named; None where it is named after none."""
    folder = printable(Path(path).parent.name)
    return folder if folder in classes else None


def count_correct(predicted: Mapping[str, str], classes: Sequence[str]) -> Counts:
    """Counts of each class that names a folder, from the predicted class of each path; the classes keep their order."""
    known, counts = set(classes), dict.fromkeys(classes, (0, 0))
    for path, name in predicted.items():
        label = label_of(path, known)
        if label is not None:
            correct, images = counts[label]
            counts[label] = correct + (label == name), images + 1
    return {name: count for name, count in counts.items() if count[1]}


def describe_accuracy(counts: Counts, num_images: int) -> str:
    """One line; `num_images` counts those in other folders too."""
    correct, images = (sum(column) for column in zip(*counts.values(), strict=True))
    line = f"accuracy {percent(correct / images)}: {correct:,} of {images:,} images in folders named after classes"
    others = num_images - images
    return f"{line}; {others:,} more in other folders" if others else line


def format_classes(counts: Counts) -> str:
    """The accuracy of each class as a table."""
    rows = [(name, f"{images:,}", percent(correct / images)) for name, (correct, images) in counts.items()]
    return format_table(("class", "images", "accuracy"), rows, align="<>>")
