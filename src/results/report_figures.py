"""Pictures of many runs: curves laid over each other, and how far training is ahead of validation."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib import colormaps
from matplotlib.figure import Figure

from src.results.records import Record

MOST = 10  # curves in one picture


def overlaid_curves(rows: Mapping[str, Sequence[Record]], quantity: str, title: str) -> Figure:
    """Validation of one quantity ("top1" or "loss") over the epochs: the mean of each row's runs, and their range."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    ax = figure.subplots()
    for number, (name, records) in enumerate(list(rows.items())[:MOST]):
        color = colormaps["tab10"](number)
        curves = [[row[f"val_{quantity}"] for row in record.history] for record in records]
        curves = [curve for curve in curves if curve and None not in curve]
        if not curves:
            continue
        epochs = range(1, 1 + min(map(len, curves)))
        values = [[curve[epoch - 1] for curve in curves] for epoch in epochs]
        marker = "o" if len(values) == 1 else None  # a single epoch is no line
        ax.plot(epochs, [fmean(at) for at in values], color=color, label=name, linewidth=1.8, marker=marker)
        ax.fill_between(epochs, [min(at) for at in values], [max(at) for at in values], color=color, alpha=0.15, lw=0)
    ax.set(xlabel="epoch", ylabel=title)
    if quantity == "top1":
        ax.set_ylim(bottom=0)
    ax.grid(alpha=0.3)
    figure.legend(fontsize=9, loc="outside right upper")
    return figure


def gaps(rows: Mapping[str, Sequence[Record]]) -> Figure:
    """Accuracy on the training images as they are beside that on the validation images, one pair of bars per row."""
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(rows)), layout="constrained")
    ax = figure.subplots()
    for place, records in enumerate(rows.values()):
        for offset, part, color in ((-0.18, "train", "#1f77b4"), (0.18, "val", "#d95f02")):
            values = [value for record in records if (value := record.metric(f"metrics.{part}.top1")) is not None]
            if values:
                label = {"train": "training images as they are", "val": "validation"}[part] if place == 0 else None
                ax.barh(place + offset, fmean(values), height=0.34, color=color, label=label)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.set(xlabel="accuracy", xlim=(0, 1))
    ax.grid(axis="x", alpha=0.3)
    figure.legend(fontsize=9, loc="outside upper center", ncols=2)
    return figure
