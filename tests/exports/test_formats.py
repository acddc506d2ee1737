import importlib.util
import json

import pytest
import torch
from torch import nn

from src.errors import UserError
from src.exports.classifier import PLACEMENT, ExportedClassifier
from src.exports.formats import FORMATS, require_packages, write_and_read
from src.training.build import build_model
from tests.conftest import mostly_slow

NETWORKS = (
    ["model=baseline"],
    ["model=deep", "model.width=0.25"],
    ["model=speedrun", "model.widths=[16,16,16]"],
    ["model=resnet20"],
    ["model=preactresnet18"],
    ["model=vgg16_bn"],
    ["model=mobilenetv2"],
    ["model=shufflenetv2"],
    ["model=densenet121"],
)


def classifier_of(network: nn.Module, size: int = 32) -> ExportedClassifier:
    return ExportedClassifier(network, [0.5, 0.4, 0.3], [0.2, 0.3, 0.4], size, tta_flip=False).eval()


def require_installed(name: str) -> None:
    for package in FORMATS[name].packages:
        pytest.importorskip(package)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("settings", NETWORKS, ids=lambda settings: settings[0])
def test_files_of_each_network_return_its_probabilities_for_any_number_of_images(config_of, tmp_path, settings, name):
    require_installed(name)
    classifier = classifier_of(build_model(config_of(*settings), 100, PLACEMENT))
    probabilities = write_and_read(name, classifier, tmp_path / FORMATS[name].file, {"size": "32"})
    for count in (1, 2, 5):
        images = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8)
        with torch.no_grad():
            found, expected = probabilities(images), classifier(images)
        assert found.shape == (count, 100) and found.dtype == torch.float32
        assert (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize("name", mostly_slow(["safetensors", "torch_export", "onnx"], quick=1))
def test_files_hold_their_metadata(tmp_path, name):
    require_installed(name)
    classifier = classifier_of(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), size=8)
    path = tmp_path / FORMATS[name].file
    write_and_read(name, classifier, path, {"classes": '["cat"]'})
    assert metadata_of(name, path)["classes"] == '["cat"]'


def metadata_of(name, path):
    if name == "safetensors":
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            assert set(file.keys()) == {"1.weight", "1.bias"}
            return file.metadata()
    if name == "torch_export":
        texts = {"metadata.json": ""}
        torch.export.load(path, extra_files=texts)
        return json.loads(texts["metadata.json"])
    import onnxruntime

    return onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map


class Branching(nn.Module):
    """Its path depends on the pixels, which no exported program can repeat."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(192, 3)

    def forward(self, images):
        logits = self.layer(images.flatten(1))
        return logits if logits.sum() > 0 else -logits


@pytest.mark.slow
def test_a_network_that_cannot_be_traced_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"format=torch_export does not work for this network .*format=safetensors"):
        write_and_read("torch_export", classifier_of(Branching(), size=8), tmp_path / "model.pt2", {})


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(UserError, match=r'format=onnx needs onnxscript: pip install -e "\.\[export\]"'):
        require_packages("onnx")
    require_packages("torch_export")


def test_weights_that_share_memory_are_written(tmp_path):
    require_installed("safetensors")
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 192), nn.Linear(192, 192))
    network[2].weight = network[1].weight
    images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    classifier = classifier_of(network, size=8)
    with torch.no_grad():
        written = write_and_read("safetensors", classifier, tmp_path / "model.safetensors", {})
        torch.testing.assert_close(written(images), classifier(images))
