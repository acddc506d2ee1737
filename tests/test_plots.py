import logging
import warnings

import matplotlib
import pytest
import torch

from src import plots
from src.analysis import plots as many
from src.calibration import measure_reliability
from src.data.dataset import Classes, LabeledImages
from tests.conftest import mostly_slow

CLASSES = Classes(("a", "b", "c"), ("odd", "even"), (0, 1, 0))
NAMES = ["$$", "$x$", "$\\frac{", "日本", "кот", "\U0010fffd", "\udcff", "a\tb", "a\u3000b", "_x"]


@pytest.fixture
def messages(caplog):
    """The messages of this test, the first on missing characters among them."""
    plots._warn_of_missing_characters.cache_clear()
    caplog.set_level(logging.WARNING)
    return caplog


def plot_all(names):
    """Every kind of figure with these class and setting names."""
    data = LabeledImages(torch.zeros(len(names), 3, 8, 8, dtype=torch.uint8), torch.arange(len(names)))
    matrix = torch.eye(len(names), dtype=torch.int64)
    return [
        plots.plot_samples(data, Classes(tuple(names))),
        plots.plot_confusion(matrix, Classes(tuple(names))),
        plots.plot_confusion(matrix, Classes(tuple(names), tuple(names), tuple(range(len(names))))),
        many.plot_setting_curves({name: [[(1, 0.1), (2, 0.2)]] for name in names}, "epoch", "accuracy"),
        many.plot_gaps({name: (0.2, 0.1) for name in names}),
        plots.plot_mistakes(data, matrix.roll(1, 0).float(), Classes(tuple(names))),
        plots.plot_confused_pairs(matrix.roll(1, 0), Classes(tuple(names))),
        many.plot_differences({name: (0.2, 0.1, 0.3) for name in names}, 1, "points"),
    ]


@pytest.mark.parametrize("number", mostly_slow(range(8), quick=1))
def test_any_name_is_drawn_without_errors_and_warnings(number, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.save(plot_all(NAMES)[number], tmp_path / "figures" / "all.png")
    assert (tmp_path / "figures" / "all.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["$$", "$x$", "кот"])
def test_names_are_literal(name, messages):
    samples, classes, superclasses, curves, gaps, _, _, differences = plot_all([name, "b"])
    ticks = [figure.axes[0].get_yticklabels()[0] for figure in (classes, superclasses, gaps, differences)]
    for text in (samples.axes[0].title, *ticks, curves.legends[0].get_texts()[0]):
        assert text.get_text() == name and not text.get_parse_math()
    assert messages.messages == []


def test_missing_characters_are_boxes_and_said_once(messages):
    samples, *_ = plot_all(["\U0010fffd\U0010fffc", "x\U0010fffd"])
    assert [ax.get_title() for ax in samples.axes[:2]] == ["□□", "x□"]
    (message,) = messages.messages
    assert "lack some characters" in message and "Noto Sans CJK" in message


def test_fallback_fonts_draw_what_the_first_lacks(messages):
    title = plot_all(["日本"])[0].axes[0].title
    assert (title.get_text(), len(messages.messages)) in {("日本", 0), ("□□", 1)}  # with such a font or without
    assert title.get_fontfamily()[0] == "DejaVu Sans"


def test_whitespace_and_boxes_are_no_missing_characters(messages):
    assert [plots.drawable(text) for text in ("a\tb", "□", "a\nb", "")] == ["a b", "□", "a\nb", ""]
    assert messages.messages == []


def test_samples_are_titled_with_their_classes():
    data = LabeledImages(torch.zeros(6, 3, 8, 8, dtype=torch.uint8), torch.tensor([2, 0, 1, 2, 0, 1]))
    titles = [ax.get_title() for ax in plots.plot_samples(data, CLASSES).axes]
    assert [title for title in titles if title] == ["a", "b", "c"]


def test_curves_hold_the_history_and_name_the_watched_set():
    history = [{"epoch": e, "train_top1": e / 10, "val_top1": e / 20, "clean_train_top1": None} for e in (1, 2, 3)]
    history[2]["clean_train_top1"] = 0.4
    ax = plots.plot_curves(history, "top1", "accuracy", "test set").axes[0]
    assert [line.get_label() for line in ax.lines] == [
        "training, as trained",
        "test set",
        "training images, without augmentation",
    ]
    assert list(ax.lines[1].get_ydata()) == [0.05, 0.1, 0.15]


def test_confusion_is_ordered_by_superclass_and_normalized_per_row():
    matrix = torch.tensor([[4, 0, 0], [2, 2, 0], [0, 0, 1]])
    ax = plots.plot_confusion(matrix, CLASSES).axes[0]
    shown = torch.tensor(ax.images[0].get_array().data) ** 2
    assert torch.allclose(shown, torch.tensor([[1, 0, 0], [0, 1, 0], [0.5, 0, 0.5]], dtype=torch.float64))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["odd", "even"]


def test_image_grid_lays_images_out_row_by_row():
    images = torch.arange(3).view(3, 1, 1, 1).expand(3, 3, 2, 2) / 2
    grid = plots.image_grid(images, columns=2)
    assert grid.shape == (4, 4, 3)
    assert (grid[0, 0, 0], grid[0, 2, 0], grid[2, 0, 0], grid[2, 2, 0]) == (0, 0.5, 1, 0)


def test_mistakes_are_the_most_confident_ones():
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    logits = torch.tensor([[9.0, 0, 0], [0, 1, 0], [0, 5, 0], [0, 0, 9]])  # right; wrong; wrong, surer; right
    figure = plots.plot_mistakes(LabeledImages(images, torch.tensor([0, 0, 0, 2])), logits, CLASSES)
    assert [ax.get_title() for ax in figure.axes] == ["a\nb (99%)", "a\nb (58%)", "", "", ""]
    assert figure.axes[0].images[0].get_array()[0, 0, 0] == 2
    assert plots.plot_mistakes(LabeledImages(images, logits.argmax(dim=1)), logits, CLASSES) is None


def test_confused_pairs_count_both_directions():
    figure = plots.plot_confused_pairs(torch.tensor([[5, 1, 4], [0, 5, 0], [3, 0, 5]]), CLASSES)
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a / c", "a / b"]
    assert [bar.get_width() for bar in ax.patches] == [4, 1, 3, 0]
    assert plots.plot_confused_pairs(torch.eye(3, dtype=torch.int64), CLASSES) is None


def test_reliability_has_a_point_for_each_filled_bin():
    logits = torch.tensor([[0.0, 0.0], [9.0, 0.0]])
    figure = plots.plot_reliability({"as trained": measure_reliability(logits, torch.tensor([1, 0]))})
    line = figure.axes[0].lines[1]
    assert list(line.get_xdata()) == pytest.approx([0.5, 0.99988], abs=1e-5) and list(line.get_ydata()) == [0, 1]
    assert line.get_label() == "as trained, ECE 25.0%"


def test_a_sheet_shows_each_image_with_its_class_and_a_wrong_one_with_its_label():
    images = torch.zeros(7, 3, 8, 8, dtype=torch.uint8)
    predicted = [("sea_horse", 0.5), *[("cat", 0.251)] * 6]
    figure = plots.plot_predictions(images, predicted, [None, "cat", "an_extraordinarily_long_name", *[None] * 4])
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:3] == ["sea horse (50%)", "cat (25%)", "cat (25%)\nnot an extraordinaril…"]
    assert titles[7:] == [""] * 5 and len(figure.axes[6].images) == 1 and not figure.axes[7].images
    assert [figure.axes[place].title.get_color() for place in (1, 2)] == ["black", plots.COLORS["val"]]


def test_the_style_of_a_callers_own_figures_is_left_alone():
    ours = plots.plot_curves([{"epoch": 1, "train_loss": 1.0}], "loss", "loss", "validation")
    assert not ours.axes[0].spines["top"].get_visible() and not ours.axes[0].title.get_parse_math()
    assert matplotlib.rcParams["axes.spines.top"] and matplotlib.rcParams["text.parse_math"]
    assert matplotlib.rcParams["axes.prop_cycle"] == matplotlib.rcParamsDefault["axes.prop_cycle"]
