import pytest
import torch
from torch import nn

from src.training.device import Placement
from src.training.inference import EVAL_BATCH, Classifier, NoPreprocess, Preprocess, compute_outputs

CPU = Placement(torch.device("cpu"), None, torch.contiguous_format)
IDENTITY = Preprocess([0, 0, 0], [1, 1, 1], CPU)


class TwoParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 4))
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 5))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


def test_logits_are_those_of_the_model_in_evaluation_mode_on_normalized_pixels():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(12, 5))
    images = torch.randint(0, 256, (EVAL_BATCH + 10, 3, 2, 2), dtype=torch.uint8)
    preprocess = Preprocess([0.5, 0.4, 0.3], [0.2, 0.2, 0.1], CPU)
    logits = compute_outputs(model.train(), images, preprocess, CPU)
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.2, 0.1]).view(3, 1, 1)
    expected = model[2](((images / 255 - mean) / std).flatten(1))
    assert logits.shape == (EVAL_BATCH + 10, 5)
    assert torch.allclose(logits, expected, atol=1e-5)


def test_between_batches_is_called_after_each():
    calls = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    images = torch.zeros(2 * EVAL_BATCH + 1, 3, 2, 2, dtype=torch.uint8)
    compute_outputs(model, images, IDENTITY, CPU, lambda: calls.append(1))
    assert len(calls) == 3


def test_pixels_become_numbers_from_0_to_1_in_the_models_layout():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    preprocess = Preprocess([0, 0, 0], [1, 1, 1], Placement(torch.device("cpu"), None, torch.channels_last))
    pixels = preprocess.to_float(images)
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([0, 0.2, 1])
    assert preprocess.normalize(pixels).is_contiguous(memory_format=torch.channels_last)


def test_features_need_no_preprocessing():
    features = torch.rand(2, 3)
    preprocess = NoPreprocess([0, 0, 0], [1, 1, 1], CPU)
    assert preprocess.normalize(preprocess.to_float(features)) is features


def test_a_frozen_part_stays_in_evaluation_mode():
    model = TwoParts()
    Classifier(model, IDENTITY, CPU).train()
    assert model.features.training and model.head.training
    Classifier(model, IDENTITY, CPU, ("features",)).train()
    assert not any(module.training for module in model.features.modules()) and model.head.training


def test_the_frozen_part_is_not_in_the_state_and_has_a_hash_of_its_own():
    model, other = TwoParts(), TwoParts()
    frozen, whole = Classifier(model, IDENTITY, CPU, ("features",), keeps_base=True), Classifier(model, IDENTITY, CPU)
    assert frozen.trained_state().keys() == {"head.1.weight", "head.1.bias"}
    assert whole.trained_state().keys() == model.state_dict().keys() and whole.frozen_hash is None
    first = frozen.frozen_hash
    Classifier(other, IDENTITY, CPU, ("features",), keeps_base=True).load_trained_state(frozen.trained_state())
    assert torch.equal(other.head[1].weight, model.head[1].weight)
    assert not torch.equal(other.features[2].weight, model.features[2].weight)
    with torch.no_grad():
        model.features[2].bias += 1
    assert Classifier(model, IDENTITY, CPU, ("features",), keeps_base=True).frozen_hash != first
    with pytest.raises(RuntimeError, match="Missing key"):
        frozen.load_trained_state({})


def test_a_classifier_of_features_calls_the_head_alone():
    model, features = TwoParts(), torch.rand(3, 4)
    classifier = Classifier(model, NoPreprocess([0, 0, 0], [1, 1, 1], CPU), CPU, ("features",), on_features=True)
    assert torch.equal(classifier.logits(features), model.head.eval()(features))
