"""However a run ends: result.json says how, and its loggers are closed."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any

from src.config import RunConfig
from src.errors import Interrupted, UserError, explain_os_error
from src.loggers.logger import Logger, RunStart, notify
from src.result import Status
from src.run_dir import RunDir
from src.training.messages import explain_failure, log, resume_command

END_KEYS = ("evaluated", "evaluated_epoch", "evaluated_step", "metrics", "tta_flip", "calibration")  # of result.json


@contextmanager
def record_status(run_dir: RunDir, config: RunConfig, command: str) -> Iterator[None]:
    """Keeps the status in result.json true, however the run ends; a killed process leaves "running"."""
    before = run_dir.load_result()
    run_dir.update_result(
        status=Status.RUNNING,
        reason=None,
        stopped_by=None,
        **dict.fromkeys(END_KEYS),  # of an earlier end
        started=before.get("started") or datetime.now().isoformat(timespec="seconds"),
        commands=[*before.get("commands", []), command],
    )
    try:
        yield
    except Exception as error:
        explained = explain_failure(error, config)
        reason = " ".join(str(explained or f"{type(error).__name__}: {error}").split())  # one line: a cell of tables
        _record_end(run_dir, Status.FAILED, reason)
        if explained is None or not isinstance(error.__cause__, UserError | OSError | None):
            with suppress(OSError), run_dir.log_file.open("a") as file:
                file.write(traceback.format_exc())
        if explained is None or explained is error:
            raise
        raise explained from error
    except BaseException as ending:  # a signal; or a second Ctrl-C, which does not wait for the save
        if _record_end(run_dir, Status.INTERRUPTED, None):
            saved = "everything is saved" if isinstance(ending, Interrupted) else "the last checkpoint is saved"
            log.info(f"\ninterrupted, {saved}; continue with:\n  {resume_command(run_dir, config)}")
        raise


def _record_end(run_dir: RunDir, status: Status, reason: str | None) -> bool:
    """Writes how the run ended to result.json, if its result was not complete before; whether it did.

    Where the disk is full, the checkpoint before the last makes room for it.
    """
    for make_room in (False, True):
        try:
            if make_room:
                run_dir.checkpoint("previous").unlink(missing_ok=True)
            if run_dir.load_result().get("status") != Status.RUNNING:
                return False
            run_dir.update_result(status=status, reason=reason)
            return True
        except OSError as error:
            problem = explain_os_error(error)
        except UserError as error:  # somebody damaged it meanwhile
            problem = str(error)
            break
    log.warning(f"result.json could not be updated and still says {Status.RUNNING}: {problem}")
    return True


@contextmanager
def open_loggers(loggers: Sequence[Logger], start: RunStart) -> Iterator[None]:
    """Starts the loggers; at the end closes those that were started."""
    with ExitStack() as stack:
        for logger in loggers:
            notify([logger], "on_run_start", start)
            stack.push(partial(_close, logger, start.run_dir))
        yield


def _close(logger: Logger, run_dir: RunDir, _kind: object, error: BaseException | None, _traceback: object) -> None:
    if error is None:
        status = Status(run_dir.load_result()["status"])  # completed or paused
    else:
        status = Status.FAILED if isinstance(error, Exception) else Status.INTERRUPTED
    call_safely(logger.close, status)


def call_safely(method: Callable[..., None], *arguments: Any) -> None:
    """Calls a logger's method at the end of a run, whose result is complete without it: a failure is one line.

    Not a full disk or the like: the run then fails, and a resume does its end again.
    """
    try:
        method(*arguments)
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        log.warning(f"{type(method.__self__).__name__} failed at the end of the run: {reason}")
