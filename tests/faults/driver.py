"""Runs commands of src in forked children of a process that has imported everything: half a second instead of four."""

import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.hydra import Hydra
from matplotlib.figure import Figure

import src.training.clock
from src import plots
from src.analysis import plots as analysis_plots
from tests.conftest import process_environment, pytest_configure, run_in_process
from tests.faults.places import Board, Kill, Watch
from tests.faults.runs import SETTINGS

COMMANDS = ("train", "evaluate", "predict", "report")


@dataclass
class Ended:
    """A process that has ended: its exit code (negative: the signal), where, after how long, what it printed."""

    code: int
    place: str
    seconds: float
    output: str
    errors: str
    counts: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class Started:
    """A child that runs."""

    pid: int
    place: Path  # its folder of notes
    board: Board
    begun: float

    def wait(self, kill_after: float | None = None, kill: Callable[[int], None] | None = None) -> Ended:
        """Waits for its end; kills it after so many seconds, by default with SIGKILL to it alone."""
        pid, status = 0, 0
        while not pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG if kill_after is not None else 0)
            if not pid and time.perf_counter() - self.begun >= kill_after:
                (kill or (lambda number: os.kill(number, signal.SIGKILL)))(self.pid)
                kill_after = None
            elif not pid:
                time.sleep(0.001)
        seconds = time.perf_counter() - self.begun
        counts = self.place / "counts.json"
        return Ended(
            os.waitstatus_to_exitcode(status),
            self.board.read(),
            seconds,
            _read(self.place / "output"),
            _read(self.place / "errors"),
            json.loads(counts.read_text()) if counts.exists() else {},
        )


def warm_up() -> None:
    """Imports what commands import, composes and draws once: forked children then begin at once."""
    pytest_configure()
    for name in COMMANDS:
        importlib.import_module(f"src.{name}")
    make_cheap(pytest.MonkeyPatch())
    place = Path(tempfile.mkdtemp())
    done = run_in_process("train", *SETTINGS, "hydra.run.dir=run", cwd=place)
    shutil.rmtree(place)
    if done.returncode:
        sys.exit(f"the first run failed:\n{done.stderr}")
    if threading.active_count() > 1:
        sys.exit("a thread is alive after the first run, so no process can be forked")


def make_cheap(patch: pytest.MonkeyPatch) -> None:
    """Empty pictures, one composition per command, and the chance to save after each step instead of each second."""
    patch.setattr(Hydra, "get_mode", lambda *_, **__: None)
    patch.setattr(src.training.clock, "LOG_SECONDS", 0.0)
    for module in (plots, analysis_plots):
        for name in [name for name in vars(module) if name.startswith("plot_")]:
            patch.setattr(module, name, lambda *_, **__: Figure(figsize=(1, 1)))


def start(
    command: str,
    arguments: Sequence[str],
    cwd: Path,
    notes: Path,
    kill: Kill | None = None,
    prepare: Callable[[], None] | None = None,
    counting: bool = False,
) -> Started:
    """Forks a child that runs `python -m src.<command> <arguments>` in `cwd`; `prepare` is called in it before."""
    shutil.rmtree(notes, ignore_errors=True)
    notes.mkdir(parents=True)
    board = Board(notes / "board")
    board.write("start")
    begun = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            watch = Watch(board, kill, counting)
            code = _run_child(command, arguments, cwd, notes, watch, prepare)
        finally:
            os._exit(code)
    return Started(pid, notes, board, begun)


def run(command: str, arguments: Sequence[str], cwd: Path, notes: Path, **options: Any) -> Ended:
    return start(command, arguments, cwd, notes, **options).wait()


def share_out(work: Callable[[int], list[dict[str, Any]]], workers: int, place: Path) -> list[dict[str, Any]]:
    """What work(0), work(1), ... return, each in a child of its own; in the order of the workers."""
    files, children = [place / f"worker_{number}.json" for number in range(workers)], []
    for number, file in enumerate(files):
        if not (pid := os.fork()):
            code = 1
            try:
                file.write_text(json.dumps(work(number)))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(pid)
    if any([os.waitpid(pid, 0)[1] for pid in children]):
        sys.exit("a worker failed")
    return [content for file in files for content in json.loads(file.read_text())]


def start_process(arguments: Sequence[str], cwd: Path, notes: Path) -> Started:
    """The same as a process of its own, which has to import everything: it can be killed meanwhile."""
    shutil.rmtree(notes, ignore_errors=True)
    notes.mkdir(parents=True)
    board = Board(notes / "board")
    board.write("imports")
    begun = time.perf_counter()
    command = [sys.executable, "-m", "tests.faults.driver", str(notes / "board"), *arguments]
    pid = os.fork()
    if pid == 0:
        try:
            _redirect(notes)
            os.chdir(cwd)
            os.execve(sys.executable, command, process_environment())
        finally:
            os._exit(71)
    return Started(pid, notes, board, begun)


def _run_child(
    command: str,
    arguments: Sequence[str],
    cwd: Path,
    notes: Path,
    watch: Watch,
    prepare: Callable[[], None] | None,
) -> int:
    _redirect(notes)
    os.chdir(cwd)
    watch.install()
    if prepare:
        prepare()
    code = _call_main(command, arguments)
    sys.setprofile(None)
    if watch.counting:
        (notes / "counts.json").write_text(json.dumps(watch.counts))
    return code


def _call_main(command: str, arguments: Iterable[str]) -> int:
    sys.argv = [f"src/{command}.py", *arguments]
    sys.orig_argv = ["python", "-m", f"src.{command}", *arguments]
    try:
        importlib.import_module(f"src.{command}").main()
    except SystemExit as ending:
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr, flush=True)
            return 1
        return ending.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _redirect(notes: Path) -> None:
    for number, name in ((1, "output"), (2, "errors")):
        file = os.open(notes / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)


def main() -> None:
    """`python -m tests.faults.driver BOARD ARGUMENTS`: src.train, which writes its place on the board."""
    make_cheap(pytest.MonkeyPatch())
    importlib.import_module("src.training.run")
    importlib.import_module("src.train")
    board = Board(Path(sys.argv[1]))
    board.write("start")
    Watch(board).install()
    sys.exit(_call_main("train", sys.argv[2:]))


if __name__ == "__main__":
    main()


def _read(path: Path) -> str:
    """The text of a file; empty for a process that was killed before it made it."""
    return path.read_text(errors="replace") if path.exists() else ""
