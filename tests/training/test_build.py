import pytest
import torch
from torch import nn

from src.data.augment import Affine, Augmentation, CropFlip
from src.data.dataset import LabeledImages
from src.data.loader import DeviceLoader, PerImageLoader
from src.data.synthetic import synthetic
from src.errors import UserError
from src.models.speedrun import whitening_filters
from src.training import build as build_module
from src.training.build import (
    build_loader,
    build_model,
    build_optimizer,
    build_preprocess,
    build_scheduler,
    initialize_from_data,
    load_splits,
)
from src.training.device import choose_placement

CPU = torch.device("cpu")


def model_of(config):
    return build_model(config, 100, choose_placement(config.trainer))


def black_images(count=10, size=16):
    return LabeledImages(torch.zeros(count, 3, size, size, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64))


# --------------------------------------------------------------------------------------------------------- data


def test_images_are_split_and_have_the_configured_size(tiny, monkeypatch):
    monkeypatch.setattr("src.data.synthetic.synthetic", lambda **given: synthetic(**{**given, "image_size": 8}))
    splits = load_splits(tiny())
    assert splits.train.images.shape == splits.validation.images.shape == (100, 3, 16, 16)
    assert splits.test.images.shape == (100, 3, 16, 16)


def test_another_number_of_classes_is_refused(tiny):
    with pytest.raises(UserError, match=r"data\.num_classes=7, but the data set has 100 classes; leave"):
        load_splits(tiny("data.num_classes=7"))
    assert len(load_splits(tiny("data.num_classes=null")).classes.names) == 100


# -------------------------------------------------------------------------------------------------------- model


def test_weights_follow_from_the_seed_alone(tiny):
    weights = [next(model_of(tiny(f"seed={seed}")).parameters()) for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_a_model_has_as_many_outputs_as_the_data_has_classes(tiny):
    config = tiny("data.num_classes=null")
    assert config.model["num_classes"] is None
    assert build_model(config, 7, choose_placement(config.trainer)).head[-1].out_features == 7


def test_a_model_is_in_training_mode_and_in_the_devices_memory_format(tiny):
    model = model_of(tiny())
    assert model.training
    assert model.features[3].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["trainer.progressive_resizing=[[0.5,2]]"], r"this model does not take images of 2 pixels beside those of 16"),
        (["model.dropout=2"], r"model \(src\.models\.convnet\.ConvNet\) refuses its settings: dropout=2 must lie in"),
        (["model.blocks=[[1],[1],[1],[1],[1]]"], r"5 poolings leave nothing of images of 16 pixels"),
    ],
)
def test_a_model_that_cannot_be_built_or_called_is_refused(tiny, overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        model_of(tiny(*overrides))


class Constant(nn.Module):
    """The same ten outputs for every image."""

    def __init__(self, num_classes: int, outputs: int = 10) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.bias.expand(len(images), -1)


def test_a_model_with_other_outputs_than_classes_is_refused(config_of):
    config = config_of("model=resnet18", "~model.name", f"model._target_={__name__}.Constant", "data=synthetic")
    with pytest.raises(UserError, match=r"model \(tests.*Constant\) returns \(10,\) for an image; the data has 100"):
        model_of(config)


def test_a_number_of_classes_that_is_not_the_datas_is_refused(small):
    config = small("model.num_classes=7")
    with pytest.raises(UserError, match=r"model \(.*ConvNet\) returns \(7,\) for an image; the data has 100"):
        build_model(config, 100, choose_placement(config.trainer))


def test_a_model_may_start_from_the_training_images(config_of, monkeypatch):
    monkeypatch.setattr(build_module, "NUM_INIT_IMAGES", 50)
    config = config_of("model=speedrun", "model.widths=[8,16,24]", "data=synthetic", "data.normalize=true")
    placement = choose_placement(config.trainer)
    model, images = model_of(config), torch.randint(0, 256, (120, 3, 8, 8), dtype=torch.uint8)
    initialize_from_data(model, config, LabeledImages(images, torch.zeros(120)), placement)
    preprocess = build_preprocess(config, placement)
    expected = whitening_filters(preprocess.normalize(preprocess.to_float(images[::3])))
    torch.testing.assert_close(model.features[0].weight.data, expected)


def test_a_model_that_does_not_start_from_images_needs_none(tiny):
    config = tiny()
    initialize_from_data(model_of(config), config, None, choose_placement(config.trainer))


@pytest.mark.parametrize(("normalize", "mean", "std"), [("false", 0, 1), ("true", 0.5, 0.25)])
def test_pixels_are_normalized_on_request_by_the_data_sets_own_values(config_of, normalize, mean, std):
    config = config_of("data=synthetic", f"data.normalize={normalize}")
    preprocess = build_preprocess(config, choose_placement(config.trainer))
    assert preprocess.mean.flatten().tolist() == [mean] * 3 and preprocess.std.flatten().tolist() == [std] * 3


# ------------------------------------------------------------------------------------------------------- loader


def test_images_are_augmented_in_batches_or_one_by_one_or_not(tiny):
    loader, augmentation = build_loader(tiny(), black_images(), CPU)
    assert isinstance(loader, DeviceLoader) and type(augmentation) is Augmentation
    loader, augmentation = build_loader(tiny("data.augment=true"), black_images(), CPU)
    assert isinstance(loader, DeviceLoader) and isinstance(augmentation, Affine)
    loader, augmentation = build_loader(tiny("augmentation=torchvision"), black_images(), CPU)
    assert (
        isinstance(loader, PerImageLoader)
        and type(augmentation) is Augmentation
        and loader.loader.num_workers == torch.get_num_threads()
    )


@pytest.mark.parametrize(("flip", "alternates", "at_random"), [("random", False, True), ("alternate", True, False)])
def test_images_are_flipped_by_the_loader_or_the_augmentation_never_by_both(tiny, flip, alternates, at_random):
    overrides = ("augmentation=crop_flip", f"augmentation.flip={flip}")
    loader, augmentation = build_loader(tiny(*overrides), black_images(), CPU)
    assert isinstance(augmentation, CropFlip) and augmentation.flips is at_random
    assert (loader.flip_side is not None) is alternates


def test_alternate_flips_of_a_transform_of_single_images_are_refused(tiny):
    with pytest.raises(UserError, match=r"augmentation.flip is not a setting of"):
        tiny("augmentation=torchvision", "augmentation.flip=alternate")


def test_a_compiled_step_has_full_batches_alone(tiny):
    loader, _ = build_loader(tiny("trainer.compile=true"), black_images(60), CPU)
    assert loader.plan.sizes == (25, 25)
    with pytest.raises(UserError, match=r"data\.batch_size=25 is more than the 10 training images"):
        build_loader(tiny("trainer.compile=true"), black_images(10), CPU)


# ---------------------------------------------------------------------------------------- optimizer and schedule


def test_an_optimizer_has_all_trainable_weights(tiny):
    model = model_of(tiny())
    model.features.requires_grad_(False)
    (group,) = build_optimizer(tiny(), model).param_groups
    assert [id(weight) for weight in group["params"]] == [id(weight) for weight in model.head.parameters()]


def test_a_value_that_the_optimizer_refuses_is_told(tiny):
    with pytest.raises(UserError, match=r"optimizer \(torch\.optim\.Adam\) refuses its settings: Invalid learning"):
        build_optimizer(tiny("optimizer.lr=-1"), model_of(tiny()))


def test_a_schedule_multiplies_the_learning_rate_at_every_step(tiny):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    config = tiny("scheduler=cosine", "trainer.epochs=2")
    scheduler = build_scheduler(config, optimizer, 2, config.trainer.epochs)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.5, 0.5 * (1 + 0.5**0.5) / 2, 0.25, 0.5 * (1 - 0.5**0.5) / 2])


def fails_in_the_end(epoch: float, epochs: int, warmup_epochs: float) -> float:
    return 1 / (epochs - epoch)


def test_a_schedule_that_fails_at_the_end_fails_before_the_first_step(tiny):
    config = tiny(f"scheduler._target_={__name__}.fails_in_the_end", "+scheduler._partial_=true")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    with pytest.raises(UserError, match=r"scheduler \(.*fails_in_the_end\) refuses its settings: .*division by zero"):
        build_scheduler(config, optimizer, 2, config.trainer.epochs)
