import math

import pytest
import torch

from src.data.dataset import Classes
from src.metrics import confusion_matrix, measure, per_class

CLASSES = Classes(tuple("abcdefg"), ("x", "y"), (0, 0, 0, 0, 1, 1, 1))


def test_accuracies_by_hand():
    logits = torch.zeros(3, 7)
    logits[0, 2] = 9.0  # right
    logits[1, [0, 1, 2, 3, 4]] = torch.tensor([9.0, 8.0, 7.0, 6.0, 5.0])  # true class 4: fifth
    logits[2, [0, 1, 2, 3, 4]] = 9.0  # true class 6: not among the five
    metrics = measure(logits, torch.tensor([2, 4, 6]), CLASSES)
    assert (metrics.top1, metrics.top5, metrics.images) == (1 / 3, 2 / 3, 3)
    assert metrics.superclass == 1 / 3


def test_superclass_is_right_where_the_class_is_a_sibling():
    logits = torch.eye(7)[[1, 5, 5]]
    metrics = measure(logits, torch.tensor([0, 4, 0]), CLASSES)
    assert metrics.top1 == 0 and metrics.superclass == 2 / 3


def test_loss_is_the_mean_cross_entropy():
    metrics = measure(torch.zeros(5, 7), torch.arange(5), CLASSES)
    assert metrics.loss == pytest.approx(math.log(7))


def test_without_superclasses_and_with_fewer_than_five_classes():
    metrics = measure(torch.eye(2), torch.tensor([0, 1]), Classes(("a", "b")))
    assert metrics.superclass is None and metrics.top5 == 1


def test_confusion_and_the_table_of_classes():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    predicted = torch.tensor([0, 1, 1, 1, 1, 0])
    matrix = confusion_matrix(predicted, labels, 3)
    assert matrix.tolist() == [[1, 2, 0], [0, 2, 0], [1, 0, 0]]
    rows = per_class(matrix, Classes(("a", "b", "c")))
    assert [row.name for row in rows] == ["c", "a", "b"]
    assert (rows[1].recall, rows[1].precision, rows[1].most_confused_with, rows[1].confused_share) == (
        1 / 3,
        1 / 2,
        "b",
        2 / 3,
    )
    assert rows[0].precision is None and rows[2].most_confused_with == ""
