import functools

import pytest
import torch

from src.commandline import CONFIGS
from src.config import build, check, typed
from src.errors import UserError
from src.training.prepare import make_network


def choices(group: str) -> list[str]:
    folder = CONFIGS / group
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def test_defaults_are_the_reports_first_experiment(composed):
    config = composed()
    data, trainer = typed(config)
    assert (data.batch_size, data.augment, data.mean, data.std) == (128, False, [0, 0, 0], [1, 1, 1])
    assert (trainer.epochs, config.seed) == (120, 0)
    assert (config.optimizer["_target_"], config.optimizer.lr, config.optimizer.eps) == ("torch.optim.Adam", 1e-3, 1e-7)
    assert config.model.blocks == [[32], [64], [128]]


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_passes_the_check(composed, experiment):
    config = composed(f"experiment={experiment}")
    if config.init.freeze:
        config.init.run = "outputs/some_run"
    check(config)


@pytest.mark.parametrize("name", choices("model"))
def test_every_model_gives_logits(composed, name):
    config = composed(f"model={name}")
    check(config)
    network = make_network(config, placement=cpu())
    assert network.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 100)


@pytest.mark.parametrize("name", choices("optimizer"))
def test_every_optimizer_lowers_a_loss(composed, name):
    gentle = ["optimizer.sgd_lr=0.05"] if name == "muon" else []  # its rate suits networks, not a parabola
    config = composed(f"optimizer={name}", *gentle)
    check(config)
    weight, filters = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2, 2, 1, 1))
    optimizer = build(config, "optimizer")([weight, filters])
    for _ in range(20):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.square().sum() < 3


KERAS = {
    "adam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-7},
    "nadam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-7},
    "adamax": {"lr": 1e-3, "eps": 1e-7},
    "sgd": {"lr": 1e-2, "momentum": 0, "weight_decay": 0},
    "rmsprop": {"lr": 1e-3, "alpha": 0.9, "eps": 1e-7, "momentum": 0},
    "adagrad": {"lr": 1e-3, "initial_accumulator_value": 0.1, "eps": 1e-7},
    "adadelta": {"lr": 1e-3, "rho": 0.95, "eps": 1e-7},
}


@pytest.mark.parametrize("name", KERAS)
def test_optimizers_have_keras_defaults(composed, name):
    group = build(composed(f"optimizer={name}"), "optimizer")([torch.nn.Parameter(torch.ones(1))]).param_groups[0]
    assert {key: tuple(v) if isinstance(v := group[key], list) else v for key in KERAS[name]} == KERAS[name]


@pytest.mark.parametrize("name", choices("scheduler"))
def test_every_scheduler_gives_factors_between_0_and_1(composed, name):
    config = composed(f"scheduler={name}", "scheduler.warmup_epochs=1")
    check(config)
    schedule = build(config, "scheduler")
    assert all(0 <= schedule(epoch / 10, 10) <= 1 for epoch in range(100))


@pytest.mark.parametrize("name", choices("augmentation"))
def test_every_augmentation_builds(composed, name):
    config = composed(f"augmentation={name}", "data.augment=true")
    check(config, [f"augmentation={name}"])
    assert callable(build(config, "augmentation"))


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("data.batch_size=0", "data.batch_size=0 must be at least 1"),
        ("data.validation=some", "data.validation=some is not one of holdout, fold, test, none"),
        ("data.fold=5", "data.fold=5 must lie below data.folds=5"),
        ("data.std=[1,1,0]", "data.std"),
        ("data.limit=0", "data.limit=0 must be at least 1"),
        ("trainer.epochs=0", "trainer.epochs=0 must be at least 1"),
        ("trainer.sizes=[[0.5,16.5]]", "trainer.sizes=[[0.5, 16.5]] must be pairs of a share"),
        ("trainer.sizes=[[0.5,a]]", "trainer.sizes=[[0.5, 'a']] must be pairs of a share"),
        ("trainer.sizes=[[0.5,24],[0.2,20]]", "must be pairs of a share"),
        ("trainer.precision=fp8", "trainer.precision=fp8 is not one of auto, fast, fp32, bf16, fp16"),
        ("trainer.label_smoothing=1", "must lie in [0, 1)"),
        ("trainer.clip_norm=-1", "trainer.clip_norm=-1.0 must be above 0"),
        ("scheduler.warmup_epochs=120", "scheduler.warmup_epochs=120 must lie below trainer.epochs=120"),
        ("seed=-1", "seed=-1 must not be negative"),
        ("++optimizer.momentun=0.9", "optimizer (torch.optim.Adam): got an unexpected keyword argument 'momentun'"),
        ("++model.widht=2", "its arguments are: blocks, width"),
        ("optimizer._target_=torch.optim.Adamm", "optimizer._target_=torch.optim.Adamm is no function or class"),
        ("scheduler.warmup_epochs=abc", "scheduler.warmup_epochs=abc must lie below"),
        ("model._target_=torch.nn", "model._target_=torch.nn is no function or class"),
        ("~model._target_", "model needs a _target_"),
        ("~model.blocks", "missing a required argument: 'blocks'"),
        ("+data.rotation=3", "data.rotation is not a setting"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(composed, override, complaint):
    with pytest.raises(UserError) as error:
        check(composed(override))
    assert complaint in str(error.value)


def test_nodes_within_nodes_are_checked_too(composed):
    with pytest.raises(UserError, match=r"augmentation.transforms .*RandomCrop.*unexpected keyword argument 'sise'"):
        check(composed("augmentation=trivial_augment", "data.augment=true", "+augmentation.transforms.0.sise=3"))


def test_contradictory_fields_are_refused(composed):
    with pytest.raises(UserError, match="needs images to choose by"):
        check(composed("trainer.patience=3", "data.validation=test"))
    with pytest.raises(UserError, match=r"does nothing without data\.augment=true"):
        check(composed("augmentation=affine"), ["augmentation=affine"])
    check(composed("augmentation=none", "data.augment=true"), ["augmentation=none", "data.augment=true"])


def test_a_value_that_the_target_refuses_names_the_node(composed):
    with pytest.raises(UserError, match=r"model \(src.models.convnet.ConvNet\) refuses .*dropout=1.5 must lie in"):
        build(composed("model.dropout=1.5"), "model")


def test_what_is_built_in_part_is_called_without_hydra(composed):
    assert type(build(composed(), "scheduler")) is functools.partial


def cpu():
    from src.training.device import Placement

    return Placement(torch.device("cpu"), None, torch.channels_last)
