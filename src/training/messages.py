"""What a run says: its heading, the commands that come next, what can be done about a failure; to terminal and log."""

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from src.config import RunConfig
from src.data.split import Splits
from src.errors import UserError, explain_os_error, first_line
from src.loggers.console import ConsoleHandler
from src.overrides import shell_override
from src.run_dir import RunDir
from src.targets import is_device_failure
from src.trust import needs_trust

log = logging.getLogger("cifarlab")  # messages of a run; the console logger's table goes through it too


class LogFile(logging.FileHandler):
    """train.log. Where it cannot be written, the run goes on, and the terminal says so once."""

    failed = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError as error:  # it cannot be opened
            self.tell(error)

    def handleError(self, record: logging.LogRecord) -> None:
        self.tell(sys.exc_info()[1])

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:  # of what was not written before
            self.tell(error)

    def tell(self, error: BaseException | None) -> None:
        if not self.failed:
            print(f"warning: {self.baseFilename} cannot be written ({error}); the run goes on", file=sys.stderr)
        self.failed = True


@contextmanager
def log_messages(run_dir: RunDir, on_terminal: bool) -> Iterator[None]:
    """Within it messages and Python's warnings go to train.log and, if asked for, to the terminal; not elsewhere."""
    log_file = LogFile(run_dir.log_file, encoding="utf-8", errors="backslashreplace", delay=True)
    handlers: list[logging.Handler] = [log_file]
    if on_terminal:
        handlers.append(ConsoleHandler())
    loggers = (log, logging.getLogger("py.warnings"))
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    shown = warnings.showwarning
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    were_captured = warnings.showwarning is shown
    for logger in loggers:
        logger.propagate = False
        for handler in handlers:
            logger.addHandler(handler)
    try:
        yield
    finally:
        logging.captureWarnings(were_captured)
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate
            for handler in handlers:
                logger.removeHandler(handler)
        log_file.close()


def heading(config: RunConfig, choices: Mapping[str, str], run_dir: RunDir, splits: Splits, device: str) -> str:
    """Four lines: the folder, what was chosen, the images, the length of the run and the device."""
    images = [f"{len(splits.train):,} training images"]
    if splits.validation:
        images.append(f"{len(splits.validation):,} held out for validation")
    images.append(f"{len(splits.test):,} test images")
    groups = ("model", "data", "augmentation", "optimizer", "scheduler")
    chosen = " ".join(f"{group}={choices[group]}" for group in groups if group in choices)
    epochs = f"{config.trainer.epochs:g} epoch{'s' * (config.trainer.epochs != 1)}"
    return (
        f"{run_dir.path}\n{chosen}\n{', '.join(images)}; {len(splits.classes.names)} classes\n"
        f"{epochs}, batches of {config.data.batch_size}, seed {config.seed}, on {device}"
    )


def resume_command(run_dir: RunDir, config: RunConfig) -> str:
    return f"python -m src.train {shell_override('resume', run_dir.path)}{_trust(config)}"


def next_commands(run_dir: RunDir, config: RunConfig) -> str:
    """What one does with a finished run, one command per line."""
    run = shell_override("run", run_dir.path) + _trust(config)
    return (
        f"  python -m src.evaluate {run}\n  python -m src.predict {run} images='path/*.png'\n"
        "  tensorboard --logdir outputs"
    )


def _trust(config: RunConfig) -> str:
    """For a run with modules of the user's own, which only this command line names."""
    return " trust=true" if needs_trust(config) else ""


def explain_failure(error: BaseException, config: RunConfig) -> UserError | None:
    """What the user can do about `error`; None where it is a fault of the program."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        return UserError(
            f"out of GPU memory with batches of {config.data.batch_size}: halve data.batch_size and double "
            "trainer.grad_accumulation_steps, or take a smaller network or data.image_size."
        )
    if isinstance(error, torch.AcceleratorError):
        return UserError(
            f"the GPU failed ({first_line(error)}): check that this PyTorch was built for this GPU and driver, or use "
            "trainer.device=cpu."
        )
    if is_device_failure(error):
        return UserError(
            f"out of memory with batches of {config.data.batch_size} ({first_line(error)}): halve data.batch_size and "
            "double trainer.grad_accumulation_steps, or take a smaller network, data.image_size or data.limit."
        )
    if "more than 1 value per channel" in str(error):
        return UserError(
            "batch norm cannot train on a single image: raise data.batch_size, data.limit or data.image_size."
        )
    if config.trainer.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return UserError(f"trainer.compile=true fails on this network or machine ({first_line(error)}); leave it out.")
    if isinstance(error, OSError):
        return UserError(f"{explain_os_error(error)} The run continues from its last checkpoint with resume=...")
    return None
