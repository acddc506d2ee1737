"""The training tests share what costs more than training: no figures, one composition of each choice of groups,
one drawing of each synthetic data set, one plain run.
"""

import functools
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from tensorboard.summary.writer.event_file_writer import AtomicCounter

from src.config import RunConfig
from src.data.synthetic import synthetic
from src.loggers.logger import Logger
from src.run_dir import RunDir
from src.training import artifacts
from src.training.build import build_model, build_preprocess, load_splits
from src.training.device import choose_placement
from src.training.inference import Classifier
from src.training.trainer import Trainer
from tests.conftest import train_in

# 100 training images, 100 held out, 100 test images of 16 pixels; four batches an epoch.
TINY = [
    "data.image_size=16",
    "data.source.train_images=200",
    "data.source.test_images=100",
    "data.batch_size=25",
]


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

    def close(self, status: str) -> None:
        self.calls.append(("close", (status,)))


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
    short = ("data.holdout=1", "trainer.epochs=1", "logger=quiet", "model=resnet18", "~model.name")
    return lambda target, *overrides: config_of(*images, *short, f"model._target_={target}", *overrides)
