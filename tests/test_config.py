import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from src.config import (
    DataConfig,
    InitConfig,
    RunConfig,
    TrainerConfig,
    parse_config,
)
from src.errors import UserError
from src.optim.build import parameter_groups
from src.schemas import TrainConfig
from src.training.build import build_model, build_optimizer
from src.training.device import Placement

CPU = Placement(torch.device("cpu"), None, torch.channels_last)


@pytest.fixture(scope="module")
def parsed(composed: Callable[..., DictConfig]) -> Callable[..., RunConfig]:
    """config_of, each command line composed once."""
    return functools.cache(lambda *overrides: parse_config(composed(*overrides), overrides))


@pytest.fixture(scope="module")
def edited(composed: Callable[..., DictConfig]) -> Callable[..., RunConfig]:
    """edited("model.width", 2) -> the default settings with another one, parsed; the value `...` deletes it."""
    default = composed()

    def edit(key: str, value: Any) -> RunConfig:
        config = copy.deepcopy(default)
        OmegaConf.set_struct(config, False)
        OmegaConf.update(config, key, None if value is ... else value, force_add=True)
        if value is ...:
            node, _, name = key.rpartition(".")
            del OmegaConf.select(config, node)[name]
        return parse_config(config)

    return edit


def test_defaults_are_the_course_reports_first_experiment(parsed):
    config = parsed()
    data, trainer = config.data, config.trainer
    assert (data.batch_size, data.augment, data.pixel_mean, data.pixel_std) == (128, False, [0, 0, 0], [1, 1, 1])
    assert (trainer.epochs, config.seed) == (120, 0)
    optimizer = config.optimizer
    assert (optimizer["_target_"], optimizer["lr"], optimizer["eps"]) == ("torch.optim.Adam", 1e-3, 1e-7)
    assert config.model["blocks"] == [[32], [64], [128]]


def test_behind_the_check_there_are_plain_values(parsed):
    config = parsed("augmentation=mixup", "trainer.progressive_resizing=[[0.5,24]]")
    containers = [config.model, config.model["blocks"], config.augmentation["steps"][0], config.data.mean]
    containers += [config.trainer.progressive_resizing[0], config.logger["history_csv"], config.data.source]
    assert {type(container) for container in containers} == {dict, list}
    assert type(config) is RunConfig


@pytest.mark.parametrize(
    ("schema", "name", "value", "complaint"),
    [
        (DataConfig, "batch_size", 0, "data.batch_size=0 must be at least 1"),
        (DataConfig, "image_size", 0, "data.image_size=0 must be at least 1 pixel"),
        (DataConfig, "validation", "some", "data.validation=some is not one of holdout, fold, test, none"),
        (DataConfig, "holdout", 0, "data.holdout=0 must be at least 1; for none use data.validation=none"),
        (DataConfig, "folds", 1, "data.folds=1 must be at least 2"),
        (DataConfig, "fold", 5, "data.fold=5 must lie below data.folds=5"),
        (DataConfig, "split_seed", -1, "data.split_seed=-1 must not be negative"),
        (DataConfig, "std", [1, 1, 0], "data.std"),
        (DataConfig, "mean", [0.5], "data.mean=[0.5] must hold three numbers"),
        (DataConfig, "limit", 0, "data.limit=0 must be at least 1"),
        (DataConfig, "workers", -1, "data.workers=-1 must not be negative"),
        (TrainerConfig, "epochs", 0, "trainer.epochs=0 must be above 0"),
        (TrainerConfig, "swa_start", 1.0, "trainer.swa_start=1.0 must lie in (0, 1)"),
        (TrainerConfig, "sam_rho", 0.0, "trainer.sam_rho=0.0 must be above 0"),
        (TrainerConfig, "sam_adaptive", True, "trainer.sam_adaptive=true does nothing without trainer.sam_rho"),
        (TrainerConfig, "device", "tpu", "trainer.device=tpu is not one of auto, cpu, cuda"),
        (TrainerConfig, "memory_format", "rows", "trainer.memory_format=rows is not one of auto, channels_last"),
        (
            TrainerConfig, "progressive_resizing", [[0.5, 16.5]],
            "trainer.progressive_resizing=[[0.5, 16.5]] must be pairs of a share",
        ),
        (
            TrainerConfig, "progressive_resizing", [[0.5, "a"]],
            "trainer.progressive_resizing=[[0.5, 'a']] must be pairs of a share",
        ),
        (TrainerConfig, "progressive_resizing", [[0.5, 24], [0.2, 20]], "must be pairs of a share"),
        (TrainerConfig, "progressive_resizing", [0.5], "must be pairs of a share"),
        (
            TrainerConfig, "precision", "fp8",
            "trainer.precision=fp8 is not one of auto, bf16_if_supported, fp32, tf32, bf16, fp16",
        ),
        (TrainerConfig, "label_smoothing", 1, "must lie in [0, 1)"),
        (TrainerConfig, "grad_clip_norm", -1.0, "trainer.grad_clip_norm=-1.0 must be above 0"),
        (TrainerConfig, "patience", 0, "trainer.patience=0 must be above 0"),
        (TrainerConfig, "max_minutes", 0.0, "trainer.max_minutes=0.0 must be above 0"),
        (TrainerConfig, "checkpoint_minutes", 0.0, "trainer.checkpoint_minutes=0.0 must be above 0"),
        (TrainerConfig, "grad_accumulation_steps", 0, "trainer.grad_accumulation_steps=0 must be at least 1"),
        (InitConfig, "freeze", "features", "init.freeze=features needs init.run=outputs/<run> to start from"),
        (InitConfig, "images", "held_out", "init.images=held_out needs init.run=outputs/<run> to start from"),
        (InitConfig, "images", "some", "init.images=some is not one of all, held_out"),
        (RunConfig, "seed", -1, "seed=-1 must not be negative"),
        (RunConfig, "seed", 2**63, "nor above 2**63 - 1"),
        (RunConfig, "scheduler", {"warmup_epochs": 120}, "warmup_epochs=120 must be a number from 0 to below"),
        (RunConfig, "scheduler", {"warmup_epochs": "abc"}, "scheduler.warmup_epochs=abc must be a number"),
        (TrainConfig, "pause_at", 0, "pause_at=0 must be at least 1"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(schema, name, value, complaint):
    with pytest.raises(UserError) as error:
        schema(**{name: value})
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("optimizer.momentun", 0.9, "optimizer (torch.optim.Adam): got an unexpected keyword argument 'momentun'"),
        ("model.widht", 2, "its arguments are: blocks, width"),
        ("loss.wieght", 2, "loss (torch.nn.CrossEntropyLoss): got an unexpected keyword argument 'wieght'"),
        ("optimizer._target_", "torch.optim.Adamm", "optimizer._target_=torch.optim.Adamm cannot be imported"),
        ("model._target_", "torch.nn", "model._target_=torch.nn cannot be imported as a function or class"),
        ("model._target_", ..., "model needs a _target_"),
        ("model.blocks", ..., "missing a required argument: 'blocks'"),
        ("logger.mine", {"_target_": "nowhere.Logger"}, "logger.mine._target_=nowhere.Logger cannot be imported"),
        ("data.source.colour", "red", "data.source (src.data.cifar.cifar100): got an unexpected keyword argument"),
        ("data.rotation", 3, "data.rotation is not a setting"),
        ("rotation", 3, "rotation is not a setting of a run"),
    ],
)
def test_settings_that_nothing_takes_are_refused(edited, key, value, complaint):
    with pytest.raises(UserError) as error:
        edited(key, value)
    assert complaint in str(error.value)


def test_nodes_within_nodes_are_checked_too(parsed):
    with pytest.raises(UserError, match=r"augmentation.transforms .*RandomCrop.*unexpected keyword argument 'sise'"):
        parsed("augmentation=torchvision", "+augmentation.transforms.0.sise=3")


OTHER_LOSS = ("loss._target_=torch.nn.MultiMarginLoss", "~loss.label_smoothing")


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["trainer.patience=3", "data.validation=test"], "needs images to choose by"),
        (["trainer.tta_flip=true", "init.freeze=features", "init.run=some"], "trainer.tta_flip=true needs the images"),
        (["data.augment=false", "augmentation=cutmix"], "augmentation=cutmix does nothing with data.augment=false"),
        (["data.augment=false", "++augmentation.degrees=20"], "augmentation.degrees=20 does nothing with data.augment"),
        (["data.skip_broken=true"], "data.skip_broken=true does nothing without data=folder"),
        (["data.fold=1"], "data.fold=1 does nothing without data.validation=fold"),
        (["data.mean=[0.5,0.5,0.5]"], "data.mean=[0.5,0.5,0.5] does nothing without data.normalize=true"),
        (["data.std=[0.5,0.5,0.5]"], "data.std=[0.5,0.5,0.5] does nothing without data.normalize=true"),
        (
            [*OTHER_LOSS, "trainer.label_smoothing=0.1"],
            "trainer.label_smoothing=0.1 does nothing with loss torch.nn.MultiMarginLoss",
        ),
    ],
)
def test_contradictory_settings_are_refused(parsed, overrides, complaint):
    with pytest.raises(UserError) as error:
        parsed(*overrides)
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "augments", "target"),
    [
        ([], False, "Affine"),
        (["data.augment=true"], True, "Affine"),
        (["augmentation=cutmix"], True, "Chain"),
        (["++augmentation.degrees=20"], True, "Affine"),
        (["augmentation=none"], True, "Augmentation"),
        (["augmentation=none", "data.augment=true"], True, "Augmentation"),
        (["experiment=course2021/deep"], False, "Affine"),
        (["experiment=course2021/deep_augmented"], True, "Affine"),
        (["experiment=course2021/deep_augmented", "data.augment=false"], False, "Affine"),
    ],
)
def test_an_augmentation_is_on_where_the_command_line_names_it(parsed, overrides, augments, target):
    config = parsed(*overrides)
    assert (config.data.augment, config.augmentation["_target_"]) == (augments, f"src.data.augment.{target}")


def test_normalize_takes_the_data_sets_own_mean_and_std(parsed):
    cifar10 = parsed("data=cifar10", "data.normalize=true").data
    assert (cifar10.pixel_mean, cifar10.pixel_std) == ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])
    own = parsed("data.normalize=true", "data.mean=[0.1,0.2,0.3]").data
    assert (own.pixel_mean, own.pixel_std) == ([0.1, 0.2, 0.3], [0.2673, 0.2564, 0.2762])


def test_another_loss_takes_settings_of_its_own(parsed):
    config = parsed(*OTHER_LOSS, "++loss.margin=2")
    assert config.loss == {"_target_": "torch.nn.MultiMarginLoss", "margin": 2}


@pytest.mark.parametrize(("decays", "num_groups"), [(True, 1), (False, 2)])
def test_norms_and_biases_are_a_group_of_their_own_on_request(edited, decays, num_groups):
    config = edited("trainer.decay_norms_and_biases", decays)
    config.optimizer["weight_decay"] = 0.1
    model = build_model(config, 100, CPU)
    groups = build_optimizer(config, model).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0][:num_groups]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    if not decays:
        assert len(parameter_groups(model, decays)) == 2
        assert {weight.ndim for weight in groups[1]["params"]} == {1}


def test_held_out_images_are_neither_the_test_set_nor_none():
    held_out = [DataConfig(validation=name).holds_out for name in ("holdout", "fold", "test", "none")]
    assert held_out == [True, True, False, False]
