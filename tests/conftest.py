"""Tests compose the project's own configs and train on small sets of drawn images: no network, no data set."""

import contextlib
import copy
import functools
import importlib.util
import io
import itertools
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: small models gain nothing, busy machines lose a lot

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from src import trust
from src.analysis.runs import RunRecord, read_record
from src.choices import CONFIG_DIR, choices
from src.cli import register_plugins
from src.config import GROUPS, RunConfig
from src.loggers.history_csv import write_history
from src.parsing import parse_config
from src.resolvers import register_resolvers
from src.run_dir import RunDir
from src.schemas import register_schemas

ROOT = Path(__file__).resolve().parent.parent

# 600 training images (500 after the holdout), 200 test images, a model of 30,000 parameters: half a second an epoch.
SMALL = [
    "data=synthetic",
    "data.source.train_images=600",
    "data.source.test_images=200",
    "data.holdout=1",
    "data.batch_size=64",
    "model.width=0.25",
    "model.dense=[32]",
    "trainer.epochs=2",
]
Done = subprocess.CompletedProcess[str]


def pytest_configure() -> None:
    os.fsync = lambda file: None  # no test survives a power failure, and each call waits for the disk
    trust.TRUSTED += ("tests.quick",)  # the data and loggers of tests; test_trust.py leaves this out
    register_schemas()
    register_resolvers()
    register_plugins()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # First, for they fork processes: PyTorch forbids that after a gradient on a (fake) GPU or of a compiled graph.
    items.sort(key=lambda item: not item.nodeid.startswith("tests/faults/"))
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(skip)


def mostly_slow(cases: Iterable[Any], quick: int) -> list[Any]:
    """The cases of a test: the first `quick` of them in the normal suite, the others with -m slow."""
    return [case if i < quick else _slow(case) for i, case in enumerate(cases)]


def built_models() -> list[str]:
    """The choices of the group model whose packages are installed."""
    return [name for name in choices("model") if name != "timm" or importlib.util.find_spec("timm")]


def _slow(case: Any) -> Any:
    return pytest.param(*(case if type(case) is tuple else [case]), marks=pytest.mark.slow)


@pytest.fixture(scope="session")
def composed() -> Callable[..., DictConfig]:
    """composed("model=deep", name="train") -> the config that Hydra composes with that command line."""

    def build(*overrides: str, name: str = "train") -> DictConfig:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return compose(name, overrides=list(overrides))

    return build


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

    def parse(*overrides: str) -> RunConfig:
        config = compose_fast(*overrides)
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):  # as within a command
            return parse_config(config, overrides)

    return parse


@pytest.fixture(scope="session")
def small(config_of: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """The same for a run of seconds, with nothing on the terminal."""
    return lambda *overrides: config_of(*SMALL, "logger=quiet", *overrides)


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., RunDir]:
    """trained(config, "name") -> the folder of a run that has been trained to its end."""
    return lambda config, name="run": train_in(tmp_path / name, config)


def create_in(path: Path, config: RunConfig, **choices: str) -> RunDir:
    """The folder of a run that waits."""
    run_dir = RunDir(path)
    run_dir.create(config, choices, [])
    return run_dir


def train_in(path: Path, config: RunConfig, **choices: str) -> RunDir:
    """The folder of a run that has been trained to its end."""
    from src.training.run import run

    run_dir = create_in(path, config, **choices)
    with run_dir.locked():
        run(config, run_dir)
    return run_dir


@pytest.fixture
def recorded(config_of: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., RunRecord]:
    """recorded("model=deep", "seed=1", val=0.4, status="failed") -> the record of a run that never took place."""
    count = itertools.count()

    def record(
        *overrides: str,
        status: str = "completed",
        val: float | None = None,
        test: float | None = None,
        train: float | None = None,
        history: Sequence[float] = (),  # validation accuracy of each epoch
        overridden: Sequence[str] = (),  # settings that its command line named
        **result: Any,
    ) -> RunRecord:
        config = config_of(*overrides)
        chosen = {group: value for group, _, value in (text.partition("=") for text in overrides) if group in GROUPS}
        run_dir = RunDir(tmp_path / "runs" / f"{next(count)}_run")
        run_dir.create(config, chosen, overridden)
        tops = {"train": train, "val": val, "test": test}
        metrics = {part: None if top1 is None else {"top1": top1} for part, top1 in tops.items()}
        if history:
            result["epochs"] = len(history)
            rows = [
                {"epoch": n, "val_top1": v, "val_loss": 5 - v, "seconds": 60 * n / len(history)}
                for n, v in enumerate(history, 1)
            ]
            write_history(run_dir.history_file, rows)
        measured = {"train_images": config.data.limit or 50_000}
        facts = {"seconds": 60.0, "data": measured, "environment": {"device": "CPU"}, "stopped_by": "epochs", **result}
        run_dir.update_result(status=status, metrics=metrics, **facts)
        return read_record(run_dir)

    return record


@pytest.fixture(scope="session")
def command() -> Callable[..., Done]:
    """command("train", "seed=1", cwd=...) -> what `python -m src.train seed=1` returned and printed, run in process."""
    return run_in_process


def run_in_process(name: str, *arguments: str, cwd: Path = ROOT) -> Done:
    """Runs a command as its own process would, without paying for the imports again."""
    main = importlib.import_module(f"src.{name}").main
    output, errors, code = io.StringIO(), io.StringIO(), 0
    before = sys.argv, sys.orig_argv, Path.cwd()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    sys.argv = [f"src/{name}.py", *arguments]
    sys.orig_argv = ["python", "-m", f"src.{name}", *arguments]
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            main()
    except SystemExit as ending:
        code = ending.code or 0
        if isinstance(code, str):
            errors.write(f"{code}\n")
            code = 1
    except Exception:
        errors.write(traceback.format_exc())
        code = 1
    finally:
        sys.argv, sys.orig_argv = before[:2]
        os.chdir(before[2])
        for number, handler in handlers.items():
            signal.signal(number, handler)
        GlobalHydra.instance().clear()
    return subprocess.CompletedProcess(list(arguments), code, output.getvalue(), errors.getvalue())


@pytest.fixture(scope="session")
def command_process() -> Callable[..., Done]:
    """The same as `command`, in a process of its own."""

    def run(name: str, *arguments: str, cwd: Path = ROOT) -> Done:
        return subprocess.run(
            [sys.executable, "-m", f"src.{name}", *arguments],
            capture_output=True, text=True, cwd=cwd, timeout=240, env=process_environment(),
        )  # fmt: skip

    return run


def process_environment() -> dict[str, str]:
    """For processes that are started in other folders: they import this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}
