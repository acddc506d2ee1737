"""The picture of a sweep: the metric over each setting that was searched."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.analysis.compare import Comparison, Scale, SettingRow, format_value, name_metric
from src.plots import PALETTE, drawable, in_style, save

PICTURE = "sweep.png"
COLUMNS = 3  # panels side by side
DECADE = 10  # values of which the largest is so many times the smallest have a logarithmic axis
LONG = 18  # characters of the names along an axis that fit without being turned


def write_search_picture(comparison: Comparison, folder: Path) -> None:
    """Draws `folder`/sweep.png where there are two settings to see; removes an older one where not."""
    if comparison.columns and sum(row.spread is not None for row in comparison.rows) >= 2:
        save(plot_search(comparison), folder / PICTURE)
    else:
        (folder / PICTURE).unlink(missing_ok=True)


@in_style
def plot_search(comparison: Comparison) -> Figure:
    """A panel for each setting, in it a point for each row: its mean and, of several runs, their range."""
    rows, names = [row for row in comparison.rows if row.spread], comparison.columns
    across = min(COLUMNS, len(names))
    down = -(-len(names) // across)
    figure = Figure(figsize=(1 + 3.6 * across, 0.8 + 2.9 * down), layout="constrained")
    axes = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    scale = Scale.of(comparison.metric)
    for ax, name in zip(axes, names, strict=False):
        places = _place(ax, [row.settings[name] for row in rows])
        _draw_rows(ax, rows, places, comparison.metric, scale.factor)
        ax.set_xlabel(drawable(name))
        ax.grid(alpha=0.3)
    for spare in axes[len(names) :]:
        spare.axis("off")
    figure.supylabel(f"{name_metric(comparison.metric)}{', %' if scale.percent else ''}", fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=9)
    return figure


def _place(ax: Axes, values: Sequence[Any]) -> list[float]:
    """Where each value lies on the x axis, which is prepared: numbers in place, others in strips side by side."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        if min(values) > 0 and max(values) >= DECADE * min(values):
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter("{x:g}")  # powers of ten are formulas, which src/plots.py does not draw
            ax.xaxis.set_minor_formatter("")
        return list(map(float, values))
    texts = list(map(format_value, values))
    names = sorted(set(texts))
    is_long = sum(map(len, names)) > LONG
    turned = {"rotation": 30, "ha": "right"} if is_long else {}
    ax.set_xticks(range(len(names)), list(map(drawable, names)), fontsize=8, **turned)
    ax.set_xlim(-0.6, len(names) - 0.4)
    places, seen = [], dict.fromkeys(names, 0)
    for text in texts:  # beside each other, so that equal results are both seen
        seen[text] += 1
        places.append(names.index(text) + 0.5 * (seen[text] / (texts.count(text) + 1) - 0.5))
    return places


def _draw_rows(ax: Axes, rows: Sequence[SettingRow], places: Sequence[float], metric: str, factor: int) -> None:
    """The rows at their places; those that a search stopped early are hollow, the best is a star."""
    styles = {
        "trained to the end": {"color": PALETTE[0], "marker": "o"},
        "stopped earlier": {"color": "0.5", "marker": "o", "markerfacecolor": "none"},
        "best": {"color": PALETTE[1], "marker": "*", "markersize": 13},
    }
    for label, style in styles.items():
        kinds = ["best" if row is rows[0] else "stopped earlier" if row.rung else "trained to the end" for row in rows]
        chosen = [(x, row) for x, row, kind in zip(places, rows, kinds, strict=True) if kind == label]
        for x, row in chosen:
            values = [factor * run.metric(metric) for run in row.records if run.has_measured(metric)]
            ax.plot([x, x], [min(values), max(values)], color=style["color"], linewidth=1.2)
        if chosen:
            means = [factor * row.spread.mean for _, row in chosen]
            ax.plot([x for x, _ in chosen], means, linestyle="", label=label, **style)
