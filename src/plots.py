"""The figures of one run and of many: samples, curves, the confusion matrix, accuracies of settings."""

import logging
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from statistics import fmean

import matplotlib
import numpy as np
import torch
from matplotlib import font_manager
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from src.data.dataset import Classes, LabeledImages
from src.files import write_atomically
from src.loggers.base import Row

COLORS = {"train": "#1f77b4", "val": "#d95f02"}
UNAUGMENTED = "training images, without augmentation"
MAX_CURVES = 10  # in one figure
MAX_TICKS = 60  # class names along an axis
BOX = "□"
FALLBACKS = ("Noto Sans", "WenQuanYi", "Droid Sans Fallback", "Unifont", "Arial Unicode", "Microsoft YaHei", "Malgun")
FONTS = ["DejaVu Sans", *sorted(name for name in font_manager.get_font_names() if name.startswith(FALLBACKS))]

matplotlib.use("Agg")
# Names of classes and settings come from users: they are drawn literally, and `$` starts no formula.
matplotlib.rcParams.update({"text.parse_math": False, "font.family": FONTS})


def save(figure: Figure, path: Path) -> None:
    """Writes `figure` as a PNG file, into a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: figure.savefig(file, dpi=130, format="png"))


def plot_samples(data: LabeledImages, classes: Classes) -> Figure:
    """Ten images (the first of ten classes spread over all that have any) with the names of their classes."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    figure.subplots(2, 5, subplot_kw={"frame_on": False, "xticks": [], "yticks": []})
    present = data.labels.unique()
    chosen = present[torch.linspace(0, len(present) - 1, min(10, len(present))).round().long()].tolist()
    for ax, label in zip(figure.axes, chosen, strict=False):
        ax.imshow(data.images[data.labels == label][0].permute(1, 2, 0).numpy())
        ax.set_title(drawable(classes.names[label].replace("_", " ")), fontsize=10)
    return figure


def image_grid(images: Tensor, columns: int = 8) -> np.ndarray:
    """(N, 3, H, W) float in [0, 1] -> one (rows * H, columns * W, 3) picture, for TensorBoard."""
    return make_grid(images, nrow=columns, padding=0).permute(1, 2, 0).cpu().numpy()


def plot_curves(history: Sequence[Row], quantity: str, title: str, watched: str) -> Figure:
    """Training and validation of "loss" or "top1" over the epochs; `watched` is "validation" or "test set"."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    ax = figure.subplots()
    line = {"marker": "o" if len(history) < 25 else "", "markersize": 3}
    star = {"marker": "*", "markersize": 11, "linestyle": ""}
    for column, label, style in (
        (f"train_{quantity}", "training, as trained", {"color": COLORS["train"], **line}),
        (f"val_{quantity}", watched, {"color": COLORS["val"], **line}),
        (f"clean_train_{quantity}", UNAUGMENTED, {"color": COLORS["train"], **star}),  # measured for top1 alone
    ):
        points = [(row["epoch"], row[column]) for row in history if row.get(column) is not None]
        if points:
            ax.plot(*zip(*points, strict=True), label=label, **style)
    ax.set(xlabel="epoch", ylabel=title, title=f"{title.capitalize()} per epoch")
    if quantity == "top1":
        ax.set_ylim(bottom=0)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    ax.legend()
    return figure


def plot_confusion(matrix: Tensor, classes: Classes) -> Figure:
    """The share of each true class (rows) that is given each predicted class, from (num_classes, num_classes) counts.

    Where there are superclasses, their classes stand together and the ticks have their names.
    """
    order = classes.by_superclass()
    shares = matrix[order][:, order].double()
    shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1)
    figure = Figure(figsize=(11, 10), layout="constrained")
    ax = figure.subplots()
    picture = ax.imshow(shares.sqrt().numpy(), cmap="magma", vmin=0, vmax=1)  # the root makes rare mistakes visible
    bar = figure.colorbar(picture, ax=ax, shrink=0.8, label="share of the true class")
    ticks = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]
    bar.set_ticks([tick**0.5 for tick in ticks], labels=[f"{tick:.0%}" for tick in ticks])
    ax.set(xlabel="predicted", ylabel="true", title="Confusion matrix of the test images")
    names, centers = [classes.names[label] for label in order], range(len(order))
    if classes.superclass_of:
        parents, starts = np.unique(sorted(classes.superclass_of), return_index=True)
        names = [classes.superclass_names[parent].replace("_", " ") for parent in parents]
        centers = (starts + np.append(starts[1:], len(order)) - 1) / 2
        for edge in starts[1:] - 0.5:
            ax.axhline(edge, color="white", linewidth=0.3)
            ax.axvline(edge, color="white", linewidth=0.3)
    if len(names) <= MAX_TICKS:
        ax.set_xticks(centers, list(map(drawable, names)), rotation=90, fontsize=8)
        ax.set_yticks(centers, list(map(drawable, names)), fontsize=8)
    return figure


def plot_setting_curves(curves: Mapping[str, Sequence[Sequence[float]]], title: str, from_zero: bool = False) -> Figure:
    """Mean and range of the runs of each of the first ten settings, over the epochs that all of its runs completed.

    `curves` holds one sequence per run, by the setting's name.
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    ax = figure.subplots()
    for number, (name, runs) in enumerate(islice(curves.items(), MAX_CURVES)):
        if not runs:
            continue
        values = list(zip(*runs, strict=False))  # [epoch][run]
        epochs, color = range(1, 1 + len(values)), f"C{number}"
        marker = "o" if len(values) == 1 else None  # a line needs two epochs
        ax.plot(epochs, list(map(fmean, values)), color=color, label=drawable(name), linewidth=1.8, marker=marker)
        ax.fill_between(epochs, list(map(min, values)), list(map(max, values)), color=color, alpha=0.15, lw=0)
    ax.set(xlabel="epoch", ylabel=title)
    if from_zero:
        ax.set_ylim(bottom=0)
    ax.grid(alpha=0.3)
    if ax.lines:
        figure.legend(fontsize=9, loc="outside right upper")
    return figure


def plot_gaps(accuracies: Mapping[str, tuple[float | None, float | None]]) -> Figure:
    """Accuracies by the setting's name: on training images, without augmentation, and on validation images."""
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(accuracies)), layout="constrained")
    ax = figure.subplots()
    for index, (offset, part, label) in enumerate(((-0.18, "train", UNAUGMENTED), (0.18, "val", "validation"))):
        bars = [(n + offset, pair[index]) for n, pair in enumerate(accuracies.values()) if pair[index] is not None]
        if bars:
            ax.barh(*zip(*bars, strict=True), height=0.34, color=COLORS[part], label=label)
    ax.set_yticks(range(len(accuracies)), list(map(drawable, accuracies)))
    ax.invert_yaxis()
    ax.set(xlabel="accuracy", xlim=(0, 1))
    ax.grid(axis="x", alpha=0.3)
    if ax.patches:
        figure.legend(fontsize=9, loc="outside upper center", ncols=2)
    return figure


def plot_differences(differences: Mapping[str, Sequence[float]], margin: float, label: str) -> Figure:
    """Differences by their name, each (mean, low, high) or (mean,), around zero; a grey band spans the margin."""
    figure = Figure(figsize=(9, 1.4 + 0.45 * len(differences)), layout="constrained")
    ax = figure.subplots()
    ax.axvspan(-margin, margin, color="0.9", lw=0)
    ax.axvline(0, color="0.4", linewidth=1)
    for row, (mean, *interval) in enumerate(differences.values()):
        if interval:
            ax.plot(interval, [row, row], color="C0", linewidth=2.5, solid_capstyle="butt")
        ax.plot(mean, row, "o", color="C0")
    ax.set_yticks(range(len(differences)), list(map(drawable, differences)))
    ax.set(xlabel=label, ylim=(len(differences) - 0.5, -0.5))
    ax.grid(axis="x", alpha=0.3)
    return figure


def drawable(text: str) -> str:
    """`text` with a box for each character that no installed font has. Matplotlib would warn of each at every draw."""
    text = re.sub(r"[^\S\n]", " ", text)
    drawn = "".join(char if char == "\n" or ord(char) in _drawable_characters() else BOX for char in text)
    if drawn != text:
        _warn_of_missing_characters()
    return drawn


@cache
def _drawable_characters() -> frozenset[int]:
    """The code points of the installed fonts."""
    paths = [font_manager.findfont(font_manager.FontProperties(family=[name])) for name in FONTS]
    return frozenset().union(*(font_manager.get_font(path).get_charmap() for path in paths))


@cache  # so that it is said once
def _warn_of_missing_characters() -> None:
    logging.getLogger("cifarlab").warning(
        "the installed fonts lack some characters of the names in figures, which are drawn as boxes; install a font "
        "that has them, such as Noto Sans CJK"
    )
