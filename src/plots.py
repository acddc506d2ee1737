"""The figures of one run: samples, curves, the confusion matrix, mistakes, reliability."""

import logging
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import font_manager
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from src.calibration import Reliability
from src.data.dataset import Classes, LabeledImages
from src.files import write_atomically
from src.loggers.logger import Row
from src.metrics import most_confused

# Colors that color-blind people tell apart, and that differ in lightness when printed: Okabe and Ito (2008).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
COLORS = {"train": PALETTE[0], "val": PALETTE[1]}
UNAUGMENTED = "training images, without augmentation"
MAX_MISTAKES, MAX_PAIRS = 20, 15
MAX_TICKS = 60  # class names along an axis
BOX = "□"
FALLBACKS = ("Noto Sans", "WenQuanYi", "Droid Sans Fallback", "Unifont", "Arial Unicode", "Microsoft YaHei", "Malgun")
FONTS = ["DejaVu Sans", *sorted(name for name in font_manager.get_font_names() if name.startswith(FALLBACKS))]

# Names of classes and settings come from users: they are drawn literally, and `$` starts no formula.
STYLE = {
    "text.parse_math": False,
    "font.family": FONTS,
    "axes.prop_cycle": matplotlib.cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
}
in_style = matplotlib.rc_context(STYLE)  # decorates what draws: figures of a notebook keep the style of its user


@in_style
def save(figure: Figure, path: Path) -> None:
    """Writes `figure` as a PNG file, into a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: figure.savefig(file, dpi=130, format="png"))


@in_style
def plot_samples(data: LabeledImages, classes: Classes) -> Figure:
    """Ten images (the first of ten classes spread over all that have any) with the names of their classes."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    figure.subplots(2, 5, subplot_kw={"frame_on": False, "xticks": [], "yticks": []})
    present = data.labels.unique()
    chosen = present[torch.linspace(0, len(present) - 1, min(10, len(present))).round().long()].tolist()
    for ax, label in zip(figure.axes, chosen, strict=False):
        ax.imshow(data.images[int((data.labels == label).nonzero()[0])].permute(1, 2, 0).numpy())
        ax.set_title(_shown_name(classes, label), fontsize=10)
    return figure


def image_grid(images: Tensor, columns: int = 8) -> np.ndarray:
    """(N, 3, H, W) float in [0, 1] -> one (rows * H, columns * W, 3) picture, for TensorBoard."""
    return make_grid(images, nrow=columns, padding=0).permute(1, 2, 0).cpu().numpy()


@in_style
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


@in_style
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


@in_style
def plot_mistakes(data: LabeledImages, logits: Tensor, classes: Classes) -> Figure | None:
    """The 20 most confident mistakes, each with its true and its predicted class; None where there is no mistake."""
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    wrong = (predicted != data.labels).nonzero().flatten()
    worst = wrong[confidence[wrong].argsort(descending=True, stable=True)[:MAX_MISTAKES]]
    if not len(worst):
        return None
    rows = -(-len(worst) // 5)
    figure = Figure(figsize=(10, 0.6 + 2.3 * rows), layout="constrained")
    figure.suptitle("The most confident mistakes on the test images: true class, predicted class")
    figure.subplots(rows, 5, squeeze=False, subplot_kw={"frame_on": False, "xticks": [], "yticks": []})
    for ax, index in zip(figure.axes, worst.tolist(), strict=False):
        ax.imshow(data.images[index].permute(1, 2, 0).numpy())
        true, taken = (_shown_name(classes, label) for label in (data.labels[index], predicted[index]))
        ax.set_title(f"{true}\n{taken} ({confidence[index]:.0%})", fontsize=9)
    return figure


@in_style
def plot_predictions(images: Tensor, predicted: Sequence[tuple[str, float]], labels: Sequence[str | None]) -> Figure:
    """(N, 3, H, W) uint8 images, each with its class and the probability; a wrong one also with its label, colored."""
    rows = -(-len(images) // 6)
    figure = Figure(figsize=(11, 0.3 + 2.2 * rows), layout="constrained")
    figure.subplots(rows, 6, squeeze=False, subplot_kw={"frame_on": False, "xticks": [], "yticks": []})
    for ax, image, (name, probability), label in zip(figure.axes, images, predicted, labels, strict=False):
        ax.imshow(image.permute(1, 2, 0).numpy())
        is_wrong = label not in (None, name)
        title = f"{_shortened(name)} ({probability:.0%})" + (f"\nnot {_shortened(label)}" if is_wrong else "")
        ax.set_title(title, fontsize=9, color=COLORS["val"] if is_wrong else "black")
    return figure


def _shortened(name: str) -> str:
    """At most as long as a picture of a sheet is wide."""
    shown = drawable(name.replace("_", " "))
    return shown if len(shown) <= 18 else f"{shown[:17]}…"


@in_style
def plot_confused_pairs(matrix: Tensor, classes: Classes) -> Figure | None:
    """The 15 pairs of classes most often taken for each other, from (num_classes, num_classes) counts."""
    pairs = most_confused(matrix)[:MAX_PAIRS]
    if not pairs:
        return None
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(pairs)), layout="constrained")
    ax = figure.subplots()
    one, other = ([int(matrix[pair]) for pair in order] for order in (pairs, [(j, i) for i, j in pairs]))
    ax.barh(range(len(pairs)), one, color=COLORS["train"], label="the first taken for the second")
    ax.barh(range(len(pairs)), other, left=one, color=COLORS["val"], label="the second taken for the first")
    ax.set_yticks(range(len(pairs)), [" / ".join(_shown_name(classes, label) for label in pair) for pair in pairs])
    ax.invert_yaxis()
    ax.set(xlabel="test images", title="The classes most often taken for each other")
    ax.grid(axis="x", alpha=0.3)
    ax.legend(fontsize=9)
    return figure


@in_style
def plot_reliability(parts: Mapping[str, Reliability]) -> Figure:
    """Accuracy over confidence, one line for each of `parts` by its name; on the diagonal both are equal."""
    figure = Figure(figsize=(6, 5.5), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    for name, bins in parts.items():
        filled = bins.images > 0
        ax.plot(bins.confidence[filled], bins.accuracy[filled], marker="o", label=f"{name}, ECE {bins.ece:.1%}")
    ax.set(xlabel="confidence", ylabel="accuracy", title="Reliability on the test images", xlim=(0, 1), ylim=(0, 1))
    ax.grid(alpha=0.3)
    ax.legend(loc="upper left")
    return figure


def _shown_name(classes: Classes, label: Tensor | int) -> str:
    return drawable(classes.names[label].replace("_", " "))


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
