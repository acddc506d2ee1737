"""Forward passes on a CUDA device that is not there: a tensor left on another device fails here too."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from src.commandline import CONFIGS
from src.config import build
from src.data.augment import Augmentation
from src.data.seeds import make_generator
from src.training.device import Placement
from src.training.learner import Preprocess, make_objective

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


def test_a_tensor_left_on_the_cpu_fails(composed):
    class Forgetful(Augmentation):
        def forward(self, images, params):
            return images + torch.ones(3, 1, 1)

    with pytest.raises(RuntimeError, match="device"):
        objective_on_cuda(composed(), Forgetful())
