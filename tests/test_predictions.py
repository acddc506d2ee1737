import pytest
import torch

from src.data.dataset import Classes
from src.errors import UserError
from src.predictions import Predictions, load_predictions, save_predictions

CLASSES = Classes(("cat", "dog"))
LOGITS, LABELS = torch.tensor([[1.0, 2.0], [0.5, 0.1], [3.0, 1.0]]), torch.tensor([0, 1, 0])


def test_what_is_saved_is_loaded(tmp_path):
    save_predictions(tmp_path / "test_logits.pt", Predictions(LOGITS, LABELS, CLASSES))
    logits, labels, classes = load_predictions(tmp_path / "test_logits.pt")
    assert torch.equal(logits, LOGITS) and torch.equal(labels, LABELS) and classes == CLASSES


@pytest.mark.parametrize(
    ("logits", "labels", "classes", "problem"),
    [
        (LOGITS[:2], LABELS, CLASSES, r"logits \(2, 2\), labels \(3,\) and 2 classes do not fit"),
        (LOGITS, LABELS + 1, CLASSES, "do not fit each other"),
        (LOGITS, LABELS.float(), CLASSES, "do not fit each other"),
        (LOGITS[:0], LABELS[:0], CLASSES, "do not fit each other"),
        (LOGITS, LABELS, Classes(("cat", "dog"), ("pet",), (0, 1)), "class names and superclasses do not fit"),
        (LOGITS / 0, LABELS, CLASSES, r"not finite \(logits\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, logits, labels, classes, problem):
    save_predictions(tmp_path / "test_logits.pt", Predictions(logits, labels, classes))
    with pytest.raises(UserError, match=rf"test_logits\.pt .*{problem}"):
        load_predictions(tmp_path / "test_logits.pt")
