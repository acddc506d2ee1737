import pytest

from src.results.report_figures import gaps, overlaid_curves


def test_curves_are_means_with_their_range(recorded):
    rows = {"deep": [recorded(history=[0.1, 0.3, 0.2]), recorded(history=[0.3, 0.5])], "empty": [recorded()]}
    ax = overlaid_curves(rows, "top1", "validation accuracy").axes[0]
    (line,) = ax.lines
    assert line.get_label() == "deep"
    assert list(line.get_xdata()) == [1, 2]  # as far as all runs have come
    assert list(line.get_ydata()) == pytest.approx([0.2, 0.4])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (pytest.approx(0.1), pytest.approx(0.5))


def test_gaps_show_training_beside_validation(recorded):
    rows = {"deep": [recorded(train=0.9, val=0.4), recorded(train=0.7, val=0.2)], "baseline": [recorded(val=0.1)]}
    figure = gaps(rows)
    ax = figure.axes[0]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.8, 0.3, 0.1])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["deep", "baseline"]
