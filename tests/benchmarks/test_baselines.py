import pytest
import torch
from torchvision.transforms import v2

from src.benchmarks import baselines
from src.benchmarks.baselines import (
    NOWHERE,
    PILImages,
    bare_epoch,
    build_classifier,
    build_step,
    loop_epoch,
    matrix_product,
)
from src.data.augment import CropFlip
from src.training.build import load_splits
from src.training.device import Placement
from src.training.trainer import Trainer

CPU = Placement(torch.device("cpu"), None, torch.channels_last)


@pytest.fixture
def seen(monkeypatch):
    """The inputs of every forward pass of the models that are built from here on."""
    inputs = []

    def build_watched(*arguments):
        model = build_model(*arguments)
        model.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
        return model

    build_model = baselines.build_model
    monkeypatch.setattr(baselines, "build_model", build_watched)
    return inputs


def test_the_loop_is_the_trainers_own(tiny, monkeypatch):
    trained = []
    train_epoch = Trainer.train_epoch
    monkeypatch.setattr(Trainer, "train_epoch", lambda self: trained.append(self) or train_epoch(self))
    config = tiny("data.augment=true", "augmentation=crop_flip")
    epoch = loop_epoch(config, load_splits(config), CPU)
    epoch()
    epoch()
    trainer = trained[0]
    assert trained == [trainer, trainer] and isinstance(trainer.augmentation, CropFlip)
    assert (trainer.state.epoch, trainer.state.step, len(trainer.state.history)) == (2, 14, 2)


def test_the_loop_takes_each_image_once(tiny, seen):
    config = tiny()
    loop_epoch(config, load_splits(config), CPU)()
    assert [len(inputs) for inputs in seen] == [16] * 6 + [4]


def test_a_benchmark_that_saves_would_fail():
    with pytest.raises(OSError):
        NOWHERE.checkpoint("last").parent.mkdir(parents=True)


def test_the_bare_step_takes_its_first_batch_again_and_again(tiny, seen):
    config = tiny()
    splits = load_splits(config)
    bare_epoch(config, splits, CPU)()
    assert len(seen) == 6 and all(inputs is seen[0] for inputs in seen)
    torch.testing.assert_close(seen[0], splits.train.images[:16] / 255)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_the_bare_step_updates_as_the_trainer_does(tiny):
    config = tiny("optimizer.lr=0.01")
    splits = load_splits(config)
    images, labels = splits.train.images[:16], splits.train.labels[:16]
    bare, real = (build_classifier(config, splits, CPU) for _ in range(2))
    bare_loss = build_step(config, bare)(bare.preprocess.normalize(bare.preprocess.to_float(images)), labels)

    trainer = Trainer(config, real, splits, NOWHERE)
    real.train()
    loss, _ = trainer.add_gradient(images, labels, (), None, 1.0)
    trainer.optimizer_step()
    assert bare_loss == loss
    for weight, expected in zip(bare.model.parameters(), real.model.parameters(), strict=True):
        assert torch.equal(weight, expected)


def test_the_bare_step_is_compiled_where_the_loop_is(tiny, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: compiled.append(options) or function)
    config = tiny("trainer.compile=true")
    bare_epoch(config, load_splits(config), CPU)()
    loop_epoch(config, load_splits(config), CPU)()
    assert compiled == [{"fullgraph": True, "dynamic": False}] * 2


def test_the_dataloader_loop_is_plain(tiny, seen, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *_: pytest.fail("compiled"))
    monkeypatch.setattr(baselines.os, "cpu_count", lambda: 1)
    config = tiny("trainer.compile=true", "data.normalize=true")
    placement = Placement(torch.device("cpu"), torch.bfloat16, torch.channels_last)
    baselines.dataloader_epoch(config, load_splits(config), placement)()
    assert [len(inputs) for inputs in seen] == [16] * 6 + [4]
    assert all(inputs.dtype == torch.float32 and inputs.is_contiguous() for inputs in seen)
    assert min(inputs.min() for inputs in seen) < 0


def test_an_image_passes_torchvisions_transforms_one_by_one(tiny):
    train = load_splits(tiny()).train
    images = PILImages(train, [0.5] * 3, [0.25] * 3)
    image, label = images[3]
    assert len(images) == 100 and label == train.labels[3]
    assert image.shape == (3, 8, 8) and image.dtype == torch.float32 and -2 <= image.min() < 0
    images.transform = v2.Compose(images.transform.transforms[3:])  # without the random ones
    torch.testing.assert_close(images[3][0], (train.images[3] / 255 - 0.5) / 0.25)


@pytest.mark.parametrize("name", ["affine", "crop_flip", "trivial_augment", "rand_augment"])
def test_torchvisions_counterpart_keeps_shape_and_type(name):
    transform = baselines.torchvision_transform(name, 8)
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    results = [transform(image) for _ in range(8)]
    assert all(result.shape == image.shape and result.dtype == torch.uint8 for result in results)
    assert any(not torch.equal(result, image) for result in results)


def test_products_that_wait_for_a_device_take_the_memory_of_one(monkeypatch):
    monkeypatch.setattr(baselines, "MATRIX_SIZE", 8)
    product = matrix_product(CPU)
    first, second = product(), product()
    assert first.data_ptr() == second.data_ptr() and torch.equal(first, torch.full((8, 8), 8.0))
