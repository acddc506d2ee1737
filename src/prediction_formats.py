"""Predicted classes as text: a table for people, JSON and CSV for programs."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from src.errors import require_choice
from src.formatting import format_table, percent, printable

FORMATS = ("table", "json", "csv")

Ranked = list[tuple[str, float]]  # the most probable classes of an image with their probabilities, best first


def choose_format(wanted: str | None, file: str | None) -> str:
    """The format that is asked for, or else that of the file's name: json for "a.json". Raises UserError for others."""
    if wanted is not None:
        require_choice("format", wanted, FORMATS)
        return wanted
    ending = Path(file or "").suffix.lower().removeprefix(".")
    return ending if ending in FORMATS else "table"


def format_predictions(predictions: Mapping[str, Ranked], form: str) -> str:
    """The predictions of each image, by its path.

    Names are printable in tables and CSV. JSON keeps them as the file system has them, as {path: [{"class":
    "apple", "probability": 0.9}, ...]}.
    """
    if form == "json":
        listed = {path: [{"class": c, "probability": p} for c, p in ranked] for path, ranked in predictions.items()}
        return json.dumps(listed, indent=2, allow_nan=False) + "\n"
    if form == "csv":
        return _format_csv(predictions)
    rows = [
        (printable(path) if rank == 0 else "", printable(name), percent(probability))
        for path, ranked in predictions.items()
        for rank, (name, probability) in enumerate(ranked)
    ]
    return format_table(("image", "class", "probability"), rows, align="<<>") + "\n"


def _format_csv(predictions: Mapping[str, Ranked]) -> str:
    """One row per image and class; rank 1 is the most probable class."""
    rows: list[Sequence[object]] = [
        (printable(path), rank, printable(name), f"{probability:.6g}")
        for path, ranked in predictions.items()
        for rank, (name, probability) in enumerate(ranked, 1)
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("image", "rank", "class", "probability"), *rows])
    return text.getvalue()
