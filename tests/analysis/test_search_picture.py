import pytest

from src.analysis.compare import compare
from src.analysis.search_picture import PICTURE, plot_search, write_search_picture

SPACE = [(1e-4, 0, "adam"), (1e-3, 0.25, "sgd"), (1e-1, 0.5, "adam")]


def search(recorded):
    return compare(
        [
            recorded(f"optimizer={name}", f"optimizer.lr={lr}", f"model.dropout={dropout}", val=0.1 + lr,
                     overridden=["optimizer.lr"])
            for lr, dropout, name in SPACE
        ]
    )  # fmt: skip


def test_each_searched_setting_has_a_panel_and_decades_a_logarithmic_axis(recorded):
    axes = {ax.get_xlabel(): ax for ax in plot_search(search(recorded)).axes}
    assert set(axes) == {"optimizer", "model.dropout", "optimizer.lr"}
    assert not axes["optimizer"].spines["top"].get_visible()  # as in the other pictures
    assert {name: ax.get_xscale() for name, ax in axes.items()} == {
        "optimizer": "linear", "model.dropout": "linear", "optimizer.lr": "log",
    }  # fmt: skip
    assert [tick.get_text() for tick in axes["optimizer"].get_xticklabels()] == ["adam", "sgd"]
    (others, best) = (line for line in axes["optimizer.lr"].lines if line.get_linestyle() == "None")
    assert (best.get_marker(), list(best.get_xdata()), list(best.get_ydata())) == ("*", [0.1], [20.0])
    assert sorted(others.get_xdata()) == [1e-4, 1e-3]


@pytest.mark.slow
def test_choices_are_strips_side_by_side(recorded):
    (ax,) = (ax for ax in plot_search(search(recorded)).axes if ax.get_xlabel() == "optimizer")
    places = sorted(x for line in ax.lines if line.get_linestyle() == "None" for x in line.get_xdata())
    assert len(set(places)) == 3 and places[1] < 0.5 < places[2] == 1


@pytest.mark.slow
def test_the_file_lies_beside_the_table_only_where_there_is_something_to_see(recorded, tmp_path):
    write_search_picture(search(recorded), tmp_path)
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    write_search_picture(compare([recorded("seed=0", val=0.1), recorded("seed=1", val=0.2)]), tmp_path)
    assert not (tmp_path / PICTURE).exists()
