import pytest

from src.analysis import plots


def test_setting_curves_are_means_with_their_range():
    curves = {"deep": [[(1, 0.1), (2, 0.3), (3, 0.2)], [(1.5, 0.3), (3, 0.5)]], "empty": []}
    ax = plots.plot_setting_curves(curves, "minutes", "validation accuracy", from_zero=True).axes[0]
    (line,) = ax.lines
    assert line.get_label() == "deep"
    assert list(line.get_xdata()) == [1.25, 2.5]  # as far as all runs have come
    assert list(line.get_ydata()) == pytest.approx([0.2, 0.4])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (pytest.approx(0.1), pytest.approx(0.5))


def test_more_than_four_settings_have_a_panel_each():
    curves = {
        f"setting {number}": [[(1, number), (2, number + 1)], [(1, number), (2, number + 3)]] for number in range(5)
    }
    figure = plots.plot_setting_curves({**curves, "empty": []}, "epoch", "accuracy")
    drawn = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in drawn] == list(curves) and not figure.legends
    *others, own = drawn[1].lines
    assert len(others) == 5 and list(own.get_ydata()) == [1, 3]


@pytest.mark.filterwarnings("error")
def test_figures_without_values_have_no_legend():
    assert not plots.plot_setting_curves({"deep": []}, "epoch", "accuracy").legends
    assert not plots.plot_gaps({"deep": (None, None)}).legends


def test_gaps_show_training_beside_validation():
    ax = plots.plot_gaps({"deep": (0.8, 0.3), "baseline": (None, 0.1)}).axes[0]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.8, 0.3, 0.1])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["deep", "baseline"]


def test_differences_have_intervals_around_zero():
    ax = plots.plot_differences({"b against a": (2.0, 1.0, 3.0), "c against a": (1.0,)}, 1.0, "points").axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b against a", "c against a"]
    assert [label.get_text() for label in ax.child_axes[0].get_yticklabels()] == ["+2.00 (+1.00 .. +3.00)", "+1.00"]
    _, interval, mean, single = ax.lines
    assert list(interval.get_xdata()) == [1, 3] and list(mean.get_xdata()) == [2] and list(single.get_xdata()) == [1]
