"""The training tests share what costs more than training: no figures, one composition of each choice of groups,
one drawing of each synthetic data set, one plain run.
"""

import copy
import functools
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from tensorboard.summary.writer.event_file_writer import AtomicCounter

from src.cli import CONFIG_DIR
from src.config import RunConfig, parse_config
from src.data.synthetic import synthetic
from src.loggers.base import Logger
from src.run_dir import RunDir
from src.training import artifacts
from src.training.build import build_model, build_preprocess, load_splits
from src.training.device import choose_placement
from src.training.inference import Classifier
from src.training.trainer import Trainer
from tests.conftest import SMALL, train_in

# 100 training images, 100 held out, 100 test images of 16 pixels; four batches an epoch.
TINY = [
    "data.image_size=16",
    "data.source.train_images=200",
    "data.source.test_images=100",
    "data.batch_size=25",
]


@functools.cache
def compose_choices(choices: tuple[str, ...]) -> DictConfig:
    """What Hydra composes from choices of groups: ("model=deep",)."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("train", overrides=list(choices))
    OmegaConf.set_struct(config, False)
    return config


def compose_fast(*overrides: str) -> DictConfig:
    """The same as Hydra composes, in a tenth of the time: Hydra reads the choices of groups once, then sets values."""
    is_choice = [re.match(r"\+?\w+=|~", text) is not None and not text.startswith("seed=") for text in overrides]
    config = copy.deepcopy(compose_choices(tuple(t for t, is_one in zip(overrides, is_choice, strict=True) if is_one)))
    values = [text for text, is_one in zip(overrides, is_choice, strict=True) if not is_one]
    for override in OverridesParser.create().parse_overrides(values):
        OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
    return config


@pytest.fixture(scope="session")
def config_of() -> Callable[..., RunConfig]:
    """config_of("model=deep") -> the checked settings of the run."""
    return lambda *overrides: parse_config(compose_fast(*overrides), overrides)


@pytest.fixture(scope="session")
def small(config_of: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """The same for a run of seconds, with nothing on the terminal."""
    return lambda *overrides: config_of(*SMALL, "logger=quiet", *overrides)


@pytest.fixture(scope="package", autouse=True)
def fast_runs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.training.run.save_figures", lambda *_: {})
        patch.setattr("src.data.synthetic.synthetic", functools.cache(synthetic))
        # TensorBoard reads a run's files by name: second, process, number; with 10 after 9 within one second wrongly
        patch.setattr("tensorboard.summary.writer.event_file_writer._global_uid", AtomicCounter(1000))
        yield


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of this test draw their figures."""
    monkeypatch.setattr("src.training.run.save_figures", artifacts.save_figures)


@pytest.fixture(scope="session")
def tiny(small: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """tiny("model.dropout=0.5") -> the settings of a run of less than a second."""
    return lambda *overrides: small(*TINY, *overrides)


@pytest.fixture(scope="package")
def plain(tiny: Callable[..., RunConfig], tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """The run of `tiny()`, completed; no test changes it."""
    return train_in(tmp_path_factory.mktemp("plain") / "run", tiny(), model="baseline", data="synthetic")


@pytest.fixture
def trainer_of(tmp_path) -> Callable[[RunConfig], Trainer]:
    """trainer_of(config) -> a trainer before its first step, as `run` builds it."""

    def build(config: RunConfig) -> Trainer:
        placement, splits = choose_placement(config.trainer), load_splits(config)
        model = build_model(config, len(splits.classes.names), placement)
        classifier = Classifier(model, build_preprocess(config, placement), placement)
        return Trainer(config, classifier, splits, RunDir(tmp_path / "trainer"))

    return build


@pytest.fixture
def as_in_a_terminal() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where a script started the tests in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if before is not None:  # else a handler of C, which Python cannot restore
        signal.signal(signal.SIGINT, before)


class Spy(Logger):
    """A logger that keeps what it is told, in `Spy.calls` as (method, arguments)."""

    calls: list[tuple[str, tuple[Any, ...]]]

    def on_run_start(self, run: Any) -> None:
        self.calls.append(("on_run_start", (run,)))

    def on_log(self, epoch: int, batch: int, loss: float, top1: float) -> None:
        self.calls.append(("on_log", (epoch, batch, loss, top1)))

    def on_epoch_end(self, history: Sequence[Mapping[str, Any]], is_best: bool) -> None:
        self.calls.append(("on_epoch_end", (list(history), is_best)))

    def on_run_end(self, history: Sequence[Any], metrics: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        self.calls.append(("on_run_end", (list(history), metrics, figures)))

    def close(self) -> None:
        self.calls.append(("close", ()))


SPY = "+logger.spy._target_=tests.training.conftest.Spy"


@pytest.fixture
def spy() -> type[Spy]:
    """The class of the logger that the override SPY adds, nothing kept yet."""
    Spy.calls = []
    return Spy


@pytest.fixture
def own_model(config_of: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """own_model("tests.training.test_run.OneByOne", "seed=1") -> the settings of a run of that model."""
    images = ("data=synthetic", "data.image_size=8", "data.source.train_images=200", "data.source.test_images=100")
    short = ("data.holdout=1", "trainer.epochs=1", "logger=quiet", "model=torchvision_resnet18")
    return lambda target, *overrides: config_of(*images, *short, f"model._target_={target}", *overrides)
