import inspect

import pytest

from src.loggers.console import ConsoleLogger
from src.loggers.history_csv import HistoryCsvLogger
from src.loggers.logger import Logger
from src.loggers.mlflow import MlflowLogger
from src.loggers.tensorboard import TensorBoardLogger
from src.loggers.wandb import WandbLogger
from src.result import Status
from tests.loggers.conftest import row

METHODS = ("on_run_start", "on_log", "on_epoch_end", "on_run_end", "close")


@pytest.mark.parametrize("logger", [ConsoleLogger, HistoryCsvLogger, TensorBoardLogger, WandbLogger, MlflowLogger])
def test_every_logger_has_the_methods_of_the_base(logger):
    for name in METHODS:
        own, base = (inspect.signature(getattr(each, name)).parameters for each in (logger, Logger))
        assert list(own) == list(base)


def test_the_base_class_does_nothing(started):
    run, logger = started(), Logger()
    before = sorted(run.run_dir.path.rglob("*"))
    logger.on_run_start(run)
    logger.on_log(0, 3, 4.0, 0.1)
    logger.on_epoch_end([row(1)], True)
    logger.on_run_end([row(1)], {}, {})
    logger.close(Status.COMPLETED)
    assert sorted(run.run_dir.path.rglob("*")) == before
