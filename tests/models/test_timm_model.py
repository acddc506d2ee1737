import importlib.util

import pytest
import torch

from src.errors import UserError
from src.models.timm_model import timm_model

WITH_TIMM = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2}


def test_a_missing_timm_ends_in_one_sentence(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'model=timm needs timm: pip install -e "\.\[timm\]"'):
        timm_model("vit_tiny_patch16_224", num_classes=7)


@WITH_TIMM
def test_settings_reach_the_network():
    network = timm_model("vit_tiny_patch16_224", num_classes=7, **TINY)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7) and len(network.blocks) == 1


@WITH_TIMM
def test_weights_come_from_a_file_with_a_new_last_layer_for_other_classes(tmp_path):
    trained = timm_model("vit_tiny_patch16_224", num_classes=1000, **TINY)
    torch.save(trained.state_dict(), tmp_path / "tiny.pth")
    network = timm_model("vit_tiny_patch16_224", num_classes=7, weights=str(tmp_path / "tiny.pth"), **TINY)
    assert torch.equal(network.blocks[0].mlp.fc1.weight, trained.blocks[0].mlp.fc1.weight)
    assert network.head.out_features == 7


@WITH_TIMM
def test_mistakes_get_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="name=vit_tiny is no network of timm; some are vit_"):
        timm_model("vit_tiny", num_classes=7)
    with pytest.raises(UserError, match=r"model\.weights=nowhere\.pth is no file"):
        timm_model("vit_tiny_patch16_224", num_classes=7, weights="nowhere.pth")
