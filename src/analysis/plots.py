"""The figures of many runs: accuracies and curves of settings, overfitting, differences."""

from collections.abc import Mapping, Sequence
from itertools import islice
from statistics import fmean

from matplotlib.figure import Figure

from src.analysis.stats import Spread
from src.plots import COLORS, PALETTE, UNAUGMENTED, drawable

MAX_CURVES = 14  # in one figure: seven colours, drawn through and dashed


def plot_settings(spreads: Mapping[str, Spread], scale: float, label: str) -> Figure:
    """The mean of each setting, by its name, with its 95 % interval; a value is multiplied by `scale`."""
    figure = Figure(figsize=(9, 1.2 + 0.42 * len(spreads)), layout="constrained")
    ax = figure.subplots()
    for row, spread in enumerate(spreads.values()):
        if spread.low is not None:
            ax.plot([scale * spread.low, scale * spread.high], [row, row], color=PALETTE[0], linewidth=2.5)
        ax.plot(scale * spread.mean, row, "o", color=PALETTE[0])
    ax.set_yticks(range(len(spreads)), list(map(drawable, spreads)))
    ax.set(xlabel=label, ylim=(len(spreads) - 0.5, -0.5))
    ax.grid(axis="x", alpha=0.3)
    return figure


def plot_setting_curves(curves: Mapping[str, Sequence[Sequence[float]]], title: str, from_zero: bool = False) -> Figure:
    """Mean and range of the runs of each of the first 14 settings, over the epochs that all of its runs completed.

    `curves` holds one sequence per run, by the setting's name.
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    ax = figure.subplots()
    for number, (name, runs) in enumerate(islice(curves.items(), MAX_CURVES)):
        if not runs:
            continue
        values = list(zip(*runs, strict=False))  # [epoch][run]
        epochs, color = range(1, 1 + len(values)), PALETTE[number % len(PALETTE)]
        style = {"color": color, "linewidth": 1.8, "linestyle": "-" if number < len(PALETTE) else "--"}
        style["marker"] = "o" if len(values) == 1 else None  # a line needs two epochs
        ax.plot(epochs, list(map(fmean, values)), label=drawable(name), **style)
        ax.fill_between(epochs, list(map(min, values)), list(map(max, values)), color=color, alpha=0.15, lw=0)
    ax.set(xlabel="epoch", ylabel=title)
    ax.xaxis.get_major_locator().set_params(integer=True)
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
            ax.plot(interval, [row, row], color=PALETTE[0], linewidth=2.5, solid_capstyle="butt")
        ax.plot(mean, row, "o", color=PALETTE[0])
    ax.set_yticks(range(len(differences)), list(map(drawable, differences)))
    ax.set(xlabel=label, ylim=(len(differences) - 0.5, -0.5))
    ax.grid(axis="x", alpha=0.3)
    return figure
