"""Forward passes on a CUDA device that is not there: a tensor left on another device fails here too."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from src.commandline import CONFIGS
from src.config import build
from src.data.augment import Augmentation
from src.data.images import LabelledImages
from src.data.loading import Batching, ResidentLoader
from src.data.seeds import make_generator
from src.optim.muon import Muon
from src.training.device import Placement
from src.training.learner import Preprocess, make_objective
from src.training.loop import resized

# autocast steps aside where there is no device: what is computed where stays the same
pytestmark = pytest.mark.filterwarnings("ignore:CUDA is not available")

AUGMENTATIONS = ["affine", "crop_flip", "cutmix", "mixup", "erasing"]


def objective_on_cuda(config, augmentation):
    """(loss, correct) of one batch: shapes and devices, no numbers."""
    placement = Placement(torch.device("cuda"), torch.bfloat16, torch.channels_last)
    draws = augmentation.draw(make_generator(0), 8)
    with FakeTensorMode() as mode:

        def on_cuda(drawn):
            return tuple(map(on_cuda, drawn)) if isinstance(drawn, tuple) else mode.from_tensor(drawn).to("cuda")

        with torch.device("cuda"):  # not around the call: what is made there must say where it belongs itself
            network = build(config, "model")
            images, labels = torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
        preprocess = Preprocess([0.5, 0.5, 0.5], [0.2, 0.2, 0.2], placement)
        objective = make_objective(network, preprocess, augmentation, placement, label_smoothing=0.1)
        return objective(images, labels, on_cuda(draws))


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml")))
def test_every_network(composed, name):
    loss, correct = objective_on_cuda(composed(f"model={name}"), Augmentation())
    assert loss.device.type == correct.device.type == "cuda" and loss.dtype == torch.float32


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation(composed, name):
    config = composed(f"augmentation={name}", "data.augment=true")
    loss, _ = objective_on_cuda(config, build(config, "augmentation"))
    assert loss.device.type == "cuda"


def test_muon_steps_on_cuda(monkeypatch):
    monkeypatch.setattr("src.optim.muon.computes_bf16", lambda device: True)  # there is no device to be asked
    with FakeTensorMode(), torch.device("cuda"):
        weights = [nn.Parameter(torch.zeros(shape)) for shape in ((8, 4, 3, 3), (8, 40, 1, 1), (7,))]
        for weight in weights:
            weight.grad = torch.zeros_like(weight)
        muon = Muon(weights, 0.1, 0.6, 3, 0.2, 0.85, 0.0)
    muon.step()
    assert {state["momentum_buffer"].device.type for state in muon.state.values()} == {"cuda"}


def test_batches_are_mirrored_and_resized_on_cuda():
    device = torch.device("cuda")
    with FakeTensorMode():
        data = LabelledImages(torch.zeros(20, 3, 32, 32, dtype=torch.uint8), torch.zeros(20, dtype=torch.int64))
        loader = ResidentLoader(data, Batching(20, 8, seed=0), device, alternate_flip=True)
        images, labels = next(loader.batches(0))
        small = resized(images, 20)
    assert images.device.type == labels.device.type == small.device.type == "cuda"
    assert small.shape == (8, 3, 20, 20) and small.dtype == torch.uint8


def test_a_tensor_left_on_the_cpu_fails(composed):
    class Forgetful(Augmentation):
        def forward(self, images, params):
            return images + torch.ones(3, 1, 1)

    with pytest.raises(RuntimeError, match="device"):
        objective_on_cuda(composed(), Forgetful())
