"""The figures of many runs: accuracies and curves of settings, overfitting, differences."""

from collections.abc import Mapping, Sequence
from itertools import islice
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.analysis.stats import Spread
from src.plots import COLORS, PALETTE, UNAUGMENTED, drawable, in_style

Point = tuple[float, float]  # epoch or minutes, value
Curve = Sequence[Point]  # of one run, a point after each epoch

MAX_TOGETHER = 4  # settings in one chart
MAX_PANELS = 24


@in_style
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


@in_style
def plot_setting_curves(
    curves: Mapping[str, Sequence[Curve]], xlabel: str, ylabel: str, from_zero: bool = False
) -> Figure:
    """Mean and range of the runs of each setting, over the epochs that all of its runs completed.

    `curves` holds one curve per run, by the setting's name. Up to four settings share one chart; of more, each has a
    panel with the others' means in gray, and those beyond the first 24 have none.
    """
    epochs = {name: list(zip(*runs, strict=False)) for name, runs in curves.items() if runs}  # [epoch][run]
    together = len(epochs) <= MAX_TOGETHER
    columns = 1 if together else 3
    count = 1 if together else min(len(epochs), MAX_PANELS)
    rows = -(-count // columns)
    figure = Figure(figsize=(11, 5 if together else 2.2 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for number, (name, points) in enumerate(islice(epochs.items(), MAX_PANELS)):
        if together:
            _draw_curve(axes[0], points, PALETTE[number], drawable(name))
            continue
        for other in epochs.values():
            axes[number].plot(*_mean_curve(other), color="0.8", linewidth=1)
        _draw_curve(axes[number], points, PALETTE[0], drawable(name))
        axes[number].set_title(drawable(name), fontsize=9)
    for place, spare in enumerate(axes[count:], count):
        spare.axis("off")
        axes[place - columns].tick_params(labelbottom=True)  # the lowest of its column
    for ax in axes[:count]:
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
    if from_zero:
        axes[0].set_ylim(bottom=0)
    figure.supxlabel(xlabel, fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    if together and epochs:
        figure.legend(fontsize=9, loc="outside right upper")
    return figure


def _draw_curve(ax: Axes, epochs: Sequence[Sequence[Point]], color: str, label: str) -> None:
    """The mean and the range of each epoch's values, at the mean of their places on the x axis."""
    x, means = _mean_curve(epochs)
    lows, highs = ([end(y for _, y in points) for points in epochs] for end in (min, max))
    ax.fill_between(x, lows, highs, color=color, alpha=0.15, lw=0)
    marker = "o" if len(epochs) == 1 else None  # a line needs two epochs
    ax.plot(x, means, label=label, color=color, linewidth=1.8, marker=marker)


def _mean_curve(epochs: Sequence[Sequence[Point]]) -> tuple[list[float], list[float]]:
    """The mean x and the mean y of each epoch's points."""
    return [fmean(x for x, _ in points) for points in epochs], [fmean(y for _, y in points) for points in epochs]


@in_style
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


@in_style
def plot_differences(differences: Mapping[str, Sequence[float]], margin: float, label: str) -> Figure:
    """Differences by their name, each (mean, low, high) or (mean,), around zero; a gray band spans the margin."""
    figure = Figure(figsize=(11, 1.4 + 0.45 * len(differences)), layout="constrained")
    ax = figure.subplots()
    ax.axvspan(-margin, margin, color="0.9", lw=0)
    ax.axvline(0, color="0.4", linewidth=1)
    for row, (mean, *interval) in enumerate(differences.values()):
        if interval:
            ax.plot(interval, [row, row], color=PALETTE[0], linewidth=2.5, solid_capstyle="butt")
        ax.plot(mean, row, "o", color=PALETTE[0])
    ax.set_yticks(range(len(differences)), list(map(drawable, differences)))
    ax.secondary_yaxis("right").set_yticks(
        range(len(differences)), [_signed(values) for values in differences.values()]
    )
    ax.set(xlabel=label, ylim=(len(differences) - 0.5, -0.5))
    ax.grid(axis="x", alpha=0.3)
    return figure


def _signed(values: Sequence[float]) -> str:
    """ "+1.87 (+0.89 .. +2.85)"."""
    mean, *interval = (f"{value:+.2f}" for value in values)
    return f"{mean} ({' .. '.join(interval)})" if interval else mean
