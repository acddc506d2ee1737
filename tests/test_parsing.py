import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from src.config import RunConfig
from src.errors import UserError
from src.optim.build import parameter_groups
from src.parsing import parse_config
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
    ("key", "value", "complaint"),
    [
        ("optimizer.momentun", 0.9, "optimizer.momentun is not a setting of torch.optim.Adam; there are: lr, "),
        ("model.widht", 2, "did you mean width? There are: blocks, width"),
        (
            "loss.wieght",
            2,
            "loss.wieght is not a setting of torch.nn.CrossEntropyLoss; did you mean weight? There are: ",
        ),
        ("optimizer._target_", "torch.optim.Adamm", "optimizer._target_=torch.optim.Adamm cannot be imported"),
        ("model._target_", "torch.nn", "model._target_=torch.nn cannot be imported as a function or class"),
        ("model._target_", ..., "model needs a _target_"),
        ("model.blocks", ..., "missing a required argument: 'blocks'"),
        ("logger.mine", {"_target_": "nowhere.Logger"}, "logger.mine._target_=nowhere.Logger cannot be imported"),
        ("data.source.colour", "red", "data.source.colour is not a setting of src.data.cifar.cifar100; there are: "),
        ("data.rotation", 3, "data.rotation is not a setting"),
        ("rotation", 3, "rotation is not a setting of a run"),
    ],
)
def test_settings_that_nothing_takes_are_refused(edited, key, value, complaint):
    with pytest.raises(UserError) as error:
        edited(key, value)
    assert complaint in str(error.value)


def test_nodes_within_nodes_are_checked_too(parsed):
    with pytest.raises(
        UserError, match=r"augmentation.transforms.sise is not a setting of .*RandomCrop; did you mean size"
    ):
        parsed("augmentation=torchvision", "+augmentation.transforms.0.sise=3")


OTHER_LOSS = ("loss._target_=torch.nn.MultiMarginLoss", "~loss.label_smoothing")


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["trainer.patience=3", "data.validation=test"], "needs images to choose by"),
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


class TinyNet(torch.nn.Module):
    def __init__(self, num_classes: int, width: int = 8) -> None:
        super().__init__()


def test_of_a_chosen_file_nothing_remains_beside_ones_own_target(parsed):
    mine = "model._target_=tests.test_parsing.TinyNet"
    assert parsed("model=deep", mine).model == {"_target_": "tests.test_parsing.TinyNet", "num_classes": 100}
    assert parsed(mine, "model.width=4").model["width"] == 4
    own = parsed("optimizer._target_=torch.optim.RAdam", "optimizer.lr=0.01").optimizer
    assert own["lr"] == 0.01 and "fused" not in own  # a setting of Adam alone
    assert parsed("loss._target_=torch.nn.MultiMarginLoss").loss == {"_target_": "torch.nn.MultiMarginLoss"}
    source = parsed("data.source._target_=src.data.cifar.cifar10").data.source
    assert source == {"_target_": "src.data.cifar.cifar10", "root": "data"}


def test_learning_rates_of_parts_are_numbers(parsed):
    assert parsed("++optimizer.lr_of.features=0.1").optimizer["lr_of"] == {"features": 0.1}
    with pytest.raises(UserError, match=r"optimizer\.lr_of=0\.01 must name parts"):
        parsed("++optimizer.lr_of=0.01")
    for value in ("fast", "-1", "true"):
        with pytest.raises(UserError, match=rf"(?i)optimizer\.lr_of\.features={value}.* must be a learning rate"):
            parsed(f"++optimizer.lr_of.features={value}")
