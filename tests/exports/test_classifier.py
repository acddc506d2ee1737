import pytest
import torch

from src.exports.classifier import build_exported, expected_probabilities


def draw(count: int) -> torch.Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("tta_flip", [False, True])
def test_pixels_become_the_probabilities_of_the_run(trained_model, tta_flip):
    images = draw(7)
    with torch.no_grad():
        found = build_exported(trained_model, tta_flip)(images)
    logits = trained_model.logits(images)
    flipped = trained_model.logits(images.flip(-1))
    expected = ((logits + flipped) / 2 if tta_flip else logits).softmax(dim=1)
    assert found.dtype == torch.float32 and found.shape == (7, 10)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(expected_probabilities(trained_model, images, tta_flip), expected, atol=1e-6)
    assert not torch.allclose(logits.softmax(dim=1), flipped.softmax(dim=1), atol=1e-6)  # so the cases differ


def test_the_normalization_is_inside(trained_model):
    classifier, images = build_exported(trained_model, False), draw(2)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]))
    with torch.no_grad():
        expected = classifier.network((images / 255 - mean) / std)
        assert torch.allclose(classifier.logits(images), expected, atol=1e-5)
