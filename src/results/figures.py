"""The pictures of a run, as PNG files: samples, curves, confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from src.data.images import Classes, LabelledImages
from src.results.history import Row

matplotlib.use("Agg")
STYLE = {"train": "#1f77b4", "val": "#d95f02"}


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def samples(data: LabelledImages, classes: Classes) -> Figure:
    """Ten images (the first of ten classes spread over all that have any) with the names of their classes."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    present = data.labels.unique()
    chosen = present[torch.linspace(0, len(present) - 1, min(10, len(present))).round().long()].tolist()
    for ax, label in zip(figure.subplots(2, 5).flat, chosen, strict=False):
        first = int(torch.nonzero(data.labels == label)[0])
        ax.imshow(data.images[first].permute(1, 2, 0).numpy())
        ax.set_title(classes.names[label].replace("_", " "), fontsize=10)
    for ax in figure.axes:
        ax.axis("off")
    return figure


def image_grid(images: Tensor, columns: int = 8) -> np.ndarray:
    """(N, 3, H, W) float in [0, 1] -> one (H', W', 3) picture, for TensorBoard."""
    count, _, height, width = images.shape
    rows = -(-count // columns)
    grid = torch.zeros(rows * columns, 3, height, width)
    grid[:count] = images.cpu()
    return grid.view(rows, columns, 3, height, width).permute(0, 3, 1, 4, 2).reshape(rows * height, -1, 3).numpy()


def curves(history: Sequence[Row], quantity: str, title: str, watched: str) -> Figure:
    """Training and validation of one quantity ("loss" or "top1") over the epochs."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    ax = figure.subplots()
    epochs = [row["epoch"] for row in history]
    for part, label in (("train", "training, as trained"), ("val", watched)):
        values = [row[f"{part}_{quantity}"] for row in history]
        if None not in values:
            ax.plot(
                epochs, values, color=STYLE[part], label=label, marker="o" if len(epochs) < 25 else "", markersize=3
            )
    clean = [(row["epoch"], row.get("clean_train_top1")) for row in history if row.get("clean_train_top1") is not None]
    if quantity == "top1" and clean:
        ax.plot(
            *zip(*clean, strict=True), "*", color=STYLE["train"], markersize=11, label="training images as they are"
        )
    ax.set(xlabel="epoch", ylabel=title, title=f"{title[0].upper()}{title[1:]} per epoch")
    if quantity == "top1":
        ax.set_ylim(bottom=0)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    ax.legend()
    return figure


def confusion(matrix: Tensor, classes: Classes) -> Figure:
    """The share of each true class (rows) that is given each predicted class, classes of one superclass together."""
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
    _label_classes(ax, order, classes)
    return figure


def _label_classes(ax: Axes, order: list[int], classes: Classes) -> None:
    if not classes.superclass_of:
        names = [classes.names[label] for label in order]
        if len(names) <= 60:
            ax.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            ax.set_yticks(range(len(names)), names, fontsize=7)
        return
    parents = [classes.superclass_of[label] for label in order]
    starts = [i for i, parent in enumerate(parents) if i == 0 or parent != parents[i - 1]]
    ends = [*starts[1:], len(parents)]
    middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    names = [classes.superclass_names[parents[start]].replace("_", " ") for start in starts]
    ax.set_xticks(middles, names, rotation=90, fontsize=8)
    ax.set_yticks(middles, names, fontsize=8)
    for edge in starts[1:]:
        ax.axhline(edge - 0.5, color="white", linewidth=0.3)
        ax.axvline(edge - 0.5, color="white", linewidth=0.3)
