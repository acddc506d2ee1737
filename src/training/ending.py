"""However a run ends: result.json says how, and its loggers are closed."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

from src.config import RunConfig
from src.errors import Interrupted
from src.loggers.base import Logger, RunStart
from src.overrides import exact_command
from src.run_dir import RunDir, Status
from src.training.messages import explain_failure, log, resume_command


@contextmanager
def record_status(run_dir: RunDir, config: RunConfig) -> Iterator[None]:
    """Keeps the status in result.json true, however the run ends; a killed process leaves "running"."""
    before = run_dir.load_result()
    run_dir.update_result(
        status=Status.RUNNING,
        reason=None,
        stopped_by=None,
        **dict.fromkeys(("evaluated", "evaluated_epoch", "evaluated_step", "metrics", "tta_flip")),  # of an earlier end
        started=before.get("started") or datetime.now().isoformat(timespec="seconds"),
        commands=[*before.get("commands", []), exact_command()],
    )
    try:
        yield
    except Exception as error:
        explained = explain_failure(error, config)
        reason = str(explained or f"{type(error).__name__}: {error}")
        if run_dir.load_result()["status"] == Status.RUNNING:  # else the result was complete before
            run_dir.update_result(status=Status.FAILED, reason=reason)
        if explained:
            raise explained from error
        with run_dir.log_file.open("a") as file:
            file.write(traceback.format_exc())
        raise
    except BaseException as ending:  # a signal; or a second Ctrl-C, which does not wait for the save
        if run_dir.load_result()["status"] == Status.RUNNING:
            run_dir.update_result(status=Status.INTERRUPTED)
            saved = "everything is saved" if isinstance(ending, Interrupted) else "the last checkpoint is saved"
            log.info(f"\ninterrupted, {saved}; continue with:\n  {resume_command(run_dir)}")
        raise


@contextmanager
def open_loggers(loggers: Sequence[Logger], start: RunStart) -> Iterator[None]:
    """Starts the loggers; at the end closes those that were started."""
    with ExitStack() as stack:
        for logger in loggers:
            logger.on_run_start(start)
            stack.callback(call_safely, logger.close)
        yield


def call_safely(method: Callable[..., None], *arguments: Any) -> None:
    """Calls a logger's method at the end of a run, whose result is complete without it: a failure is one line."""
    try:
        method(*arguments)
    except Exception as error:
        log.warning(f"{type(method.__self__).__name__} failed at the end of the run: {' '.join(str(error).split())}")
