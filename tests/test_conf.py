"""The files of conf/: each choice composes, builds, says what it is, and its example command is accepted."""

import functools
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from src.choices import CONFIG_DIR, choices
from src.cli import prepare_arguments
from src.config import GROUPS, RunConfig
from src.parsing import parse_config
from src.targets import build
from src.training.build import build_model
from src.training.device import Placement
from tests.conftest import ROOT, built_models, mostly_slow, process_environment

COMMANDS = ("train", "evaluate", "predict", "export", "report", "compare", "benchmark")
CHOICES = [(group, name) for group in GROUPS for name in choices(group)]
FILES = sorted(path.relative_to(CONFIG_DIR).as_posix() for path in CONFIG_DIR.glob("*/**/*.yaml"))
PUBLIC = [name for name in FILES if not name.rpartition("/")[2].startswith("_")]


@functools.cache
def composed(*overrides: str, name: str = "train") -> DictConfig:
    """The config with Hydra's own part; composed once for all tests, so only to be read."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose(name, overrides=list(overrides), return_hydra_config=True)


@functools.cache
def config_of(*overrides: str) -> RunConfig:
    config = composed(*overrides).copy()
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):  # as within a command
        return parse_config(config, overrides)


def header(name: str) -> str:
    """The comment at the top of a file, without # and with long commands joined."""
    lines = (CONFIG_DIR / name).read_text().splitlines()
    first = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    text = "\n".join(line.removeprefix("#") for line in lines[:first] if not line.startswith("# @package"))
    return re.sub(r"\\\n\s+", "", text)


def example(name: str) -> list[str]:
    """The arguments of the file's example command: the first value of each list, "base" for a <folder>."""
    line = re.search(r"python -m src\.train(.*)", header(name))[1]
    words = [re.sub(r"<[^>]*>", "base", word) for word in shlex.split(line) if not word.startswith("--")]
    values = [(key, value) for key, _, value in (word.partition("=") for word in words)]
    plain = {"lr": "0.001"}
    return [
        key if not value else f"{key}={plain['lr'] if 'interval(' in value else _first(value)}" for key, value in values
    ]


def _first(value: str) -> str:
    return value if value.startswith("[") else value.split(",")[0]


def hydra_config(*overrides: str, name: str = "train") -> DictConfig:
    return composed(*overrides, name=name).hydra


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_passes_the_check(experiment):
    base = ["init.run=outputs/some_run"] if experiment == "course2021/search" else []
    assert config_of(f"experiment={experiment}", *base).trainer.epochs >= 1


@pytest.mark.parametrize("name", built_models())
def test_every_model_returns_logits(name):
    placement = Placement(torch.device("cpu"), None, torch.channels_last)
    model = build_model(config_of(f"model={name}"), 100, placement)
    assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 100)


@pytest.mark.parametrize("name", choices("optimizer"))
def test_every_optimizer_lowers_a_loss(name):
    node = dict(config_of(f"optimizer={name}").optimizer)
    if name == "muon":
        node["sgd_lr"] = 0.05  # its rate suits networks, not a parabola
    weight, filters = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2, 2, 1, 1))
    optimizer = build(node, "optimizer")([weight, filters])
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
def test_optimizers_have_keras_defaults(name):
    optimizer = build(config_of(f"optimizer={name}").optimizer, "optimizer")([torch.nn.Parameter(torch.ones(1))])
    (group,) = optimizer.param_groups
    assert {key: tuple(v) if isinstance(v := group[key], list) else v for key in KERAS[name]} == KERAS[name]


@pytest.mark.parametrize("name", choices("scheduler"))
def test_every_scheduler_returns_factors_between_0_and_1(name):
    schedule = build({**config_of(f"scheduler={name}").scheduler, "warmup_epochs": 1}, "scheduler")
    assert all(0 <= schedule(epoch / 10, 10) <= 1 for epoch in range(100))


@pytest.mark.parametrize("name", choices("augmentation"))
def test_every_augmentation_builds(name):
    config = config_of(f"augmentation={name}")
    assert config.data.augment and callable(build(config.augmentation, "augmentation"))


@pytest.fixture(scope="module")
def help_of(command):
    """help_of("evaluate") -> the lines of its --help."""

    @functools.cache
    def lines(name: str) -> list[str]:
        done = command(name, "--help")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return lines


@pytest.mark.slow  # a quarter of a second each
@pytest.mark.parametrize("name", PUBLIC)
def test_every_file_says_what_it_is_and_its_example_is_accepted(name):
    assert re.match(r" [^\n]+[.:;]", header(name))
    group, _, choice = name.removesuffix(".yaml").partition("/")
    arguments = [text for text in example(name) if not text.startswith("hydra")]
    if group != "hydra":
        assert (
            hydra_config(*prepare_arguments(arguments, "train")).runtime.choices[group] == choice or group == "logger"
        )
    if group != "logger":
        config_of(*prepare_arguments(arguments, "train"))


@pytest.mark.parametrize("name", FILES + [f"{command}.yaml" for command in COMMANDS])
def test_lines_are_at_most_120_columns(name):
    assert max(map(len, (CONFIG_DIR / name).read_text().splitlines())) <= 120


def test_shared_files_are_no_choices():
    assert "_convnet" not in choices("model")
    assert not [name for name in choices("experiment") if "_protocol" in name or "_recipe" in name]


@pytest.mark.parametrize("name", mostly_slow(COMMANDS, quick=1))
def test_help_fits_80_columns(help_of, name):
    assert f"  python -m src.{name}" in "\n".join(help_of(name))
    assert max(map(len, help_of(name))) <= 80


def test_help_explains_every_group(help_of):
    for group in GROUPS:
        assert re.search(rf"^{group} +\w", "\n".join(help_of("train")), re.MULTILINE)


def test_help_shows_every_choice(help_of):
    words = set(re.findall(r"[\w/]+", " ".join(help_of("train"))))
    assert words >= {name for _, name in CHOICES}
    assert not [word for word in words if word.startswith("_") or "/_" in word]


@pytest.mark.slow
def test_help_shows_the_choices_of_another_config_folder(command, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "my_network.yaml").write_text("_target_: torch.nn.Identity\n")
    assert "my_network" in command("train", "--config-dir", str(tmp_path), "--help").stdout


@pytest.mark.slow
def test_help_shows_the_defaults_of_the_schema(help_of):
    assert {"split: test", "tta_flip: null"} <= set(help_of("evaluate"))
    assert "top: 5" in help_of("predict")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_config_of_hydra_resolves(command, name):
    done = command(name, "--cfg", "hydra", "--resolve")
    assert done.returncode == 0, done.stderr
    assert "subdir: '0'" in done.stdout or name != "train"


def test_sweeper_of_multiruns():
    assert hydra_config().sweeper["_target_"] == "hydra_plugins.cifarlab.Grid"
    assert set(hydra_config().sweeper) >= {"params", "max_batch_size"}
    for name in ("evaluate", "predict", "export", "report", "compare"):
        assert "BasicSweeper" in hydra_config(name=name).sweeper["_target_"]


def test_an_experiment_chooses_its_sweeper():
    sweeper = hydra_config("experiment=course2021/search").sweeper
    assert sweeper["_target_"] == "hydra_plugins.cifarlab.RandomSearch"
    assert (sweeper.folds, sweeper.params.optimizer) == (5, "sgd,rmsprop,adagrad,adadelta,adam,adamax")


def test_launcher_of_several_jobs():
    launcher = hydra_config("hydra/launcher=joblib").launcher
    assert set(launcher) == {"_target_", "n_jobs"}  # nothing of hydra-joblib-launcher, where that is installed
    assert launcher["_target_"] == "hydra_plugins.cifarlab.Subprocesses"


def test_commands_that_train_nothing_write_nothing():
    for name in COMMANDS[1:]:
        config = hydra_config(name=name)
        assert config.output_subdir is None
        assert name in ("report", "compare") or config.run.dir == "."


def test_budgets():
    full, evening, quick = (config_of(f"budget={name}") for name in ("full", "evening", "quick"))
    assert (quick.trainer.epochs, quick.data.limit) == (8, 10000)
    assert (full.trainer.epochs, full.data.limit) == (120, None)
    assert (evening.trainer.epochs, evening.data.limit) == (25, 20000)
    assert config_of("experiment=course2021/deep", "budget=evening").trainer.epochs == 25
    assert config_of("experiment=quickstart", "budget=evening").trainer.epochs == 10  # the recipe's own


COURSE = {
    "baseline": ([[32], [64], [128]], False, 0.0, [512], "relu", False),
    "single": ([[256]], True, 0.0, [512], "relu", True),
    "deep": ("deep", True, 0.0, [512], "relu", False),
    "deep_augmented": ("deep", True, 0.0, [512], "relu", True),
    "deep_augmented_dropout": ("deep", True, 0.5, [512], "sigmoid", True),
    "deep_augmented_dropout_relu": ("deep", True, 0.5, [512], "relu", True),
    "deep_dropout": ("deep", True, 0.5, [512], "relu", False),
    "deep_no_batch_norm": ("deep", False, 0.0, [512], "relu", False),
    "deep_two_dense": ("deep", True, 0.0, [512, 512], "sigmoid", False),
    "deeper": ("deeper", True, 0.0, [512], "relu", False),
}
DEEP = [[64, 64], [128, 128], [256, 256, 256], [512, 512, 512]]
BLOCKS = {"deep": DEEP, "deeper": [*DEEP, [512, 512, 512]]}


@pytest.mark.parametrize("name", COURSE)
def test_course_experiments(name):
    blocks, batch_norm, dropout, dense, activation, augment = COURSE[name]
    config = config_of(f"experiment=course2021/{name}")
    blocks = BLOCKS[blocks] if isinstance(blocks, str) else blocks
    expected = {"blocks": blocks, "batch_norm": batch_norm, "dropout": dropout, "dense": dense, "width": 1.0}
    assert {key: config.model[key] for key in expected} == expected
    assert (config.model["activation"], config.data.augment) == (activation, augment)
    assert config.data.validation == "test"
    assert config.augmentation["_target_"] == "src.data.augment.Affine"
    assert (config.optimizer["_target_"], config.optimizer["lr"]) == ("torch.optim.Adam", 0.001)
    assert config.scheduler["_target_"] == "src.optim.schedules.constant"


def test_course_experiments_are_all_there():
    assert {f"course2021/{name}" for name in [*COURSE, "search"]} == {
        name for name in choices("experiment") if name.startswith("course2021/")
    }


@pytest.mark.parametrize(
    ("name", "batch_size", "epochs", "resizing", "smoothing", "pixels"),
    [
        ("deep63", 256, 4, [[0.2, 20], [0.5, 24]], 0.1, 1),
        ("speedrun63", 384, 2.25, [[0.25, 20], [0.6, 24]], 0.1, 2),
        ("speedrun75", 1024, 9, [[0.1, 20], [0.3, 24]], 0.25, 2),
        ("speedrun80", 1024, 32, [[0.15, 20], [0.5, 24]], 0.25, 2),
    ],
)
def test_fast_recipes(name, batch_size, epochs, resizing, smoothing, pixels):
    config = config_of(f"experiment=fast/{name}")
    data, trainer = config.data, config.trainer
    assert (data.validation, data.augment, data.batch_size) == ("none", True, batch_size)
    assert (data.pixel_mean, data.pixel_std) == ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762])
    crop = config.augmentation.get("steps", [config.augmentation])[0]
    assert (crop["pixels"], crop["flip"]) == (pixels, "alternate")
    assert (trainer.epochs, trainer.progressive_resizing, trainer.label_smoothing) == (epochs, resizing, smoothing)
    assert trainer.precision == "bf16_if_supported"


@pytest.mark.parametrize("name", choices("data"))
def test_normalization_is_off_unless_asked_for(name):
    data = config_of(f"data={name}", "data.normalize=true").data
    assert (data.pixel_mean, data.pixel_std) == (data.mean, data.std)
    assert all(0.4 < value < 0.6 for value in data.mean)
    assert all(0.2 < value < 0.3 for value in data.std)
    plain = replace(data, normalize=config_of().data.normalize)
    assert (plain.pixel_mean, plain.pixel_std) == ([0, 0, 0], [1, 1, 1])


def test_loggers_can_be_left_out_and_added():
    assert list(config_of().logger) == ["console", "tensorboard", "history_csv"]
    assert list(composed("~logger.tensorboard").logger) == ["console", "history_csv"]
    assert "mine" in composed("+logger.mine._target_=my_package.MyLogger").logger
    assert list(composed("logger=quiet").logger) == ["tensorboard", "history_csv"]
    for name in ("wandb", "mlflow"):
        assert list(composed(f"logger={name}").logger) == [name, "console", "tensorboard", "history_csv"]


@pytest.mark.parametrize("name", choices("logger"))
def test_loggers_build(name):
    if name in ("wandb", "mlflow"):
        pytest.importorskip(name)
    for key, node in config_of(f"logger={name}").logger.items():
        build(node, f"logger.{key}")


def test_loss_takes_the_label_smoothing_of_the_trainer():
    loss = build(config_of("trainer.label_smoothing=0.1").loss, "loss")
    assert loss.label_smoothing == 0.1


def test_defaults_stand_once():
    """The configs of the commands hold no settings of their own: the dataclasses of src/config.py do."""
    for name in COMMANDS[:-1]:
        assert set(OmegaConf.load(CONFIG_DIR / f"{name}.yaml")) == {"defaults", "hydra"}


def test_the_wheel_has_every_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "src").rglob("*.py")}
    assert set(settings["packages"]) == {".".join(folder.parts) for folder in folders} | {"src.conf"}


@pytest.mark.slow
def test_a_wheel_works_without_a_checkout(tmp_path):
    def run(*command: object, **options: object) -> str:
        return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, **options).stdout

    files = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    for name in files:
        if (ROOT / name).exists():
            (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "source" / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, tmp_path / "source")
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    names = {path.relative_to(tmp_path / "installed").as_posix() for path in (tmp_path / "installed").rglob("*")}
    assert {f"src/conf/{name}" for name in [*FILES, "train.yaml"]} <= names
    assert "src/plugins/hydra_plugins/cifarlab.py" in names
    environment = process_environment() | {"PYTHONPATH": str(tmp_path / "installed")}
    shown = run(sys.executable, "-m", "src.train", "--cfg", "job", "model=deep", cwd=tmp_path, env=environment)
    assert "src.models.convnet.ConvNet" in shown
