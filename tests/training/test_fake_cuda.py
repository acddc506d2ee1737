"""A trainer on a CUDA device that is not there: a tensor left on another device fails here too."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from src.data.augment import Augmentation
from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.data.rng import make_generator
from src.data.split import Splits
from src.optim.muon import Muon
from src.run_dir import RunDir
from src.targets import build
from src.training.build import build_preprocess
from src.training.device import Placement
from src.training.inference import Classifier
from src.training.progressive_resizing import resize_batch
from src.training.trainer import Trainer
from tests.conftest import built_models, mostly_slow

# autocast steps aside where there is no device: what is computed where stays the same
pytestmark = pytest.mark.filterwarnings("ignore:CUDA is not available")

AUGMENTATIONS = ["affine", "crop_flip", "cutmix", "mixup", "cutout", "trivial_augment", "rand_augment"]
NORMALIZED = ("data.normalize=true", "data.mean=[0.5,0.5,0.5]", "data.std=[0.2,0.2,0.2]")


@pytest.fixture
def trainer_on_cuda(config_of, tmp_path, monkeypatch):
    """trainer_on_cuda(mode, "model=deep") -> a trainer of 20 images; tensors have shapes and devices, no numbers."""

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 30, 1 << 30))

    def make(mode: FakeTensorMode, *overrides: str) -> Trainer:
        config = config_of(
            *NORMALIZED, "trainer.label_smoothing=0.1", "data.batch_size=8", "trainer.cuda_graph=false", *overrides
        )
        placement = Placement(torch.device("cuda"), torch.bfloat16, torch.channels_last)
        with mode:
            with torch.device("cuda"):  # not around the rest: what is made there must say where it belongs itself
                model = build(config.model, "model")
            images, indices = torch.zeros(20, 3, 32, 32, dtype=torch.uint8), torch.arange(20)
            data = LabeledImages(images, torch.zeros(20, dtype=torch.int64))
            dataset = ImageDataset(data, data, Classes(tuple(map(str, range(100)))))
            splits = Splits(dataset, data, data, data, indices, indices)
            classifier = Classifier(model, build_preprocess(config, placement), placement)
            return Trainer(config, classifier, splits, RunDir(tmp_path))

    return make


def batch_loss(mode: FakeTensorMode, trainer: Trainer):
    """(loss, correct) of the first batch."""
    # there is no generator on a device that is not there: a real augmentation draws on the CPU
    real = build(trainer.config.augmentation, "augmentation") if trainer.config.data.augment else trainer.augmentation
    drawn = real.draw(make_generator(0), 8)

    def on_cuda(params):
        return tuple(map(on_cuda, params)) if isinstance(params, tuple) else mode.from_tensor(params).to("cuda")

    with mode:
        images, labels = next(trainer.loader.batches(0))
        return trainer.batch_loss(images, labels, on_cuda(drawn), None)


@pytest.mark.parametrize("name", mostly_slow([name for name in built_models() if name != "timm"], quick=2))
def test_every_model(trainer_on_cuda, name):
    mode = FakeTensorMode()
    narrow = ["model.widths=[8,16,24]"] if name == "speedrun" else []  # its initialization loops over channels
    loss, correct = batch_loss(mode, trainer_on_cuda(mode, f"model={name}", *narrow))
    assert loss.device.type == correct.device.type == "cuda" and loss.dtype == torch.float32


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.slow
def test_every_augmentation(trainer_on_cuda, name):
    mode = FakeTensorMode()
    loss, _ = batch_loss(mode, trainer_on_cuda(mode, f"augmentation={name}"))
    assert loss.device.type == "cuda"


def test_the_epochs_sums_and_the_optimizers_step_stay_on_cuda(trainer_on_cuda):
    mode = FakeTensorMode()
    trainer = trainer_on_cuda(mode, "trainer.grad_clip_norm=1")
    loss, correct = batch_loss(mode, trainer)
    with mode:
        trainer.meter.update(loss, correct, 8)
        for weight in trainer.classifier.model.parameters():
            weight.grad = torch.zeros_like(weight)
        trainer.optimizer_step()
    assert trainer.meter.loss_sum.device.type == trainer.meter.correct.device.type == "cuda"
    assert {state["exp_avg"].device.type for state in trainer.optimizer.state.values()} == {"cuda"}
    assert trainer.state.step == 1


def test_validation_images_are_evaluated_on_cuda(trainer_on_cuda):
    mode = FakeTensorMode()
    trainer = trainer_on_cuda(mode)
    assert trainer.validation.images.device.type == "cuda"
    with mode:
        logits = trainer.classifier.logits(trainer.validation.images)
    assert logits.device.type == "cuda" and logits.shape == (20, 100)


def test_muon_steps_on_cuda(monkeypatch):
    monkeypatch.setattr("src.optim.muon.computes_bf16", lambda device: True)  # there is no device to be asked
    with FakeTensorMode(), torch.device("cuda"):
        weights = [nn.Parameter(torch.zeros(shape)) for shape in ((8, 4, 3, 3), (8, 40, 1, 1), (7,))]
        for weight in weights:
            weight.grad = torch.zeros_like(weight)
        muon = Muon(weights, 0.1, 0.6, 3, 0.2, 0.85, 0.0)
    muon.step()
    assert {state["momentum_buffer"].device.type for state in muon.state.values()} == {"cuda"}


def test_batches_are_mirrored_and_resized_on_cuda(trainer_on_cuda):
    mode = FakeTensorMode()
    trainer = trainer_on_cuda(mode, "augmentation=crop_flip", "augmentation.flip=alternate")
    assert trainer.loader.flip_side is not None
    with mode:
        images, labels = next(trainer.loader.batches(0))
        resized = resize_batch(images, 20)
    assert images.device.type == labels.device.type == resized.device.type == "cuda"
    assert resized.shape == (8, 3, 20, 20) and resized.dtype == torch.uint8


def test_a_tensor_left_on_the_cpu_fails(trainer_on_cuda):
    class Forgetful(Augmentation):
        def forward(self, images, params):
            return images + torch.ones(3, 1, 1)

    mode = FakeTensorMode()
    trainer = trainer_on_cuda(mode)
    trainer.augmentation = Forgetful()
    with pytest.raises(RuntimeError, match="device"):
        batch_loss(mode, trainer)
