import torch

from src.data.images import Classes, LabelledImages
from src.results import figures

CLASSES = Classes(("a", "b", "c"), ("odd", "even"), (0, 1, 0))


def test_samples_are_titled_with_their_classes():
    data = LabelledImages(torch.zeros(6, 3, 8, 8, dtype=torch.uint8), torch.tensor([2, 0, 1, 2, 0, 1]))
    titles = [ax.get_title() for ax in figures.samples(data, CLASSES).axes]
    assert [title for title in titles if title] == ["a", "b", "c"]


def test_curves_hold_the_history_and_name_the_watched_set():
    history = [{"epoch": e, "train_top1": e / 10, "val_top1": e / 20, "clean_train_top1": None} for e in (1, 2, 3)]
    history[2]["clean_train_top1"] = 0.4
    ax = figures.curves(history, "top1", "accuracy", "test set").axes[0]
    assert [line.get_label() for line in ax.lines] == [
        "training, as trained",
        "test set",
        "training images as they are",
    ]
    assert list(ax.lines[1].get_ydata()) == [0.05, 0.1, 0.15]


def test_confusion_is_ordered_by_superclass_and_normalised_per_row():
    matrix = torch.tensor([[4, 0, 0], [2, 2, 0], [0, 0, 1]])
    ax = figures.confusion(matrix, CLASSES).axes[0]
    shown = torch.tensor(ax.images[0].get_array().data) ** 2
    assert torch.allclose(shown, torch.tensor([[1, 0, 0], [0, 1, 0], [0.5, 0, 0.5]], dtype=torch.float64))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["odd", "even"]


def test_image_grid_lays_images_out_row_by_row():
    images = torch.arange(3).view(3, 1, 1, 1).expand(3, 3, 2, 2) / 2
    grid = figures.image_grid(images, columns=2)
    assert grid.shape == (4, 4, 3)
    assert (grid[0, 0, 0], grid[0, 2, 0], grid[2, 0, 0], grid[2, 2, 0]) == (0, 0.5, 1, 0)
