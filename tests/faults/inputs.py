"""Types every wrong input of the tables and says what came back: `python -m tests.faults.inputs --failing`."""

import argparse
import hashlib
import importlib
import multiprocessing
import os
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import ClassVar, NoReturn

import pytest

from src import trust
from src.cli import register_plugins
from src.resolvers import register_resolvers
from src.schemas import register_schemas
from tests.conftest import ROOT, Done, run_in_process
from tests.faults import (
    input_rows_commands,
    input_rows_hydra,
    input_rows_runs,
    input_rows_settings,
    input_rows_targets,
)
from tests.faults.input_rows_base import Row
from tests.quick import QUICK, quick_commands

ROWS: list[Row] = [
    *input_rows_settings.ROWS,
    *input_rows_targets.ROWS,
    *input_rows_hydra.ROWS,
    *input_rows_commands.ROWS,
    *input_rows_runs.ROWS,
]
SECONDS = 20  # that a row may take
MEMORY = 16 * 2**30  # bytes that the process may map
WIDTH = 100  # of what is shown of a sentence


class TooLong(BaseException):
    """A row takes longer than SECONDS; no Exception, so that no handler takes it for a failure of the run."""


@dataclass
class Outcome:
    """What came back from one row."""

    row: Row
    code: int | None  # None: it did not end in time
    sentence: str
    output: str
    problems: list[str] = field(default_factory=list)

    @property
    def traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.sentence

    @property
    def shown(self) -> str:
        """The sentence; of a traceback the last line."""
        lines = self.sentence.strip().splitlines() or self.output.strip().splitlines() or ["(nothing)"]
        return (lines[-1] if self.traceback or self.code == 0 else lines[0])[:WIDTH]


class Bench:
    """A folder with the runs that rows start from, each trained once, and a place for one row after the other."""

    BASES: ClassVar = {
        "run": ("hydra.run.dir=outputs/run",),
        "paused": ("hydra.run.dir=outputs/paused", "pause_at=1"),
        "sweep": ("--multirun", "seed=0,1,2", "trainer.epochs=1", "hydra.sweep.dir=outputs/sweep"),
    }

    def __init__(self, folder: Path, seconds: int | None = None) -> None:
        self.folder, self.seconds = folder, seconds
        self.bases = folder / "bases"
        self.bases.mkdir(parents=True)
        self.count = 0

    def base(self, name: str) -> Path:
        """The folder of a run or sweep that rows start from, trained at the first call."""
        path = self.bases / "outputs" / name
        if not path.exists():
            done = run_in_process("train", *QUICK, *self.BASES[name], cwd=self.bases)
            if done.returncode:
                raise RuntimeError(f"the {name} that rows start from failed: {done.stderr}")
        return path

    def run(self, row: Row) -> Outcome:
        """Types the row in an empty folder of its own and judges what comes back."""
        self.count += 1
        around = self.folder / f"row_{self.count}"
        place = around / "place"
        place.mkdir(parents=True)
        for name in row.copied:
            shutil.copytree(self.base(name), place / "outputs" / name)
        if row.prepare:
            row.prepare(place)
        for name in ("SHA256SUMS", "previous.pt"):  # they would notice, and mend, what the row damages
            for path in place.rglob(name):
                path.unlink()
        before, checkout = snapshot(around), set(os.listdir(ROOT))
        with importing_from(place), warnings.catch_warnings():
            try:
                with time_limit(self.seconds):
                    done = run_in_process(row.command, *row.typed, cwd=place)
                code = done.returncode
            except TooLong:
                done, code = Done(row.typed, -1, "", ""), None
        for child in multiprocessing.active_children():  # workers of a loader that nobody closed
            child.kill()
        outcome = Outcome(row, code, done.stderr, done.stdout)
        outcome.problems = judge(outcome) + losses(row, before, snapshot(around))
        strays = set(os.listdir(ROOT)) - checkout - {".pytest_cache", ".ruff_cache"}
        outcome.problems += [f"wrote {name} into the checkout" for name in sorted(strays)]
        shutil.rmtree(around)
        return outcome


@contextmanager
def bench(seconds: int | None = None) -> Iterator[Bench]:
    """A bench in a temporary folder; commands draw no pictures and reach no network."""
    register_schemas()
    register_resolvers()
    register_plugins()
    importlib.import_module("torch.utils.cpp_extension")  # its first import warns where there is no CUDA
    with tempfile.TemporaryDirectory() as folder, quick_commands(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.trust.TRUSTED", (*trust.TRUSTED, "tests.quick"))
        patch.setattr(socket.socket, "connect", _no_network)
        patch.setattr(socket, "getaddrinfo", _no_network)
        yield Bench(Path(folder).resolve(), seconds)


def judge(outcome: Outcome) -> list[str]:
    """What is wrong with exit code and sentence."""
    row, lines = outcome.row, outcome.sentence.strip().splitlines()
    if outcome.code is None:
        return [f"did not end within {SECONDS} s"]
    if outcome.traceback:
        return ["traceback"]
    if row.accepted:
        return _judge_accepted(outcome)
    if outcome.code == 0:
        return ["accepted silently (exit 0)"]
    problems = []
    if row.is_sweep:
        if not lines or not all(re.match(r"(\S+: )?error: ", line) for line in lines):
            problems.append(f"{len(lines)} lines, not all of them begin with error:")
    elif len(lines) != 1 or not lines[0].startswith("error: "):
        problems.append(f"{len(lines)} lines instead of one that begins with error:")
    if not re.search(row.expected, outcome.sentence, re.IGNORECASE | re.DOTALL):
        problems.append(f"the sentence does not match {row.expected}")
    if "weights_only" in outcome.sentence:
        problems.append("passes on torch's advice about weights_only")
    return problems


def _judge_accepted(outcome: Outcome) -> list[str]:
    if outcome.code:
        return [f"exit {outcome.code}, though the command should cope with it"]
    if not re.search(outcome.row.expected, outcome.output, re.IGNORECASE | re.DOTALL):
        return [f"its output does not match {outcome.row.expected}"]
    return []


def snapshot(folder: Path) -> dict[str, str]:
    """What lies in a folder: the path of each file with a hash of its content, of each folder with "folder"."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = "folder" if path.is_dir() else hashlib.md5(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = content
    return found


def losses(row: Row, before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What the row changed that it must not touch."""

    def allowed(path: str) -> bool:
        is_cache = "/.cifarlab" in path  # decoded images, beside the user's own
        return is_cache or bool(re.match(row.may_write, path.removeprefix("place/")))

    lost = [path for path in before if path not in after and not allowed(path)]
    changed = [path for path in before if path in after and after[path] != before[path] and not allowed(path)]
    new = [path for path in after if path not in before and path != "place/outputs" and not allowed(path)]
    found = {"removed": lost, "changed": changed, "wrote": new}
    problems = [f"{verb} {', '.join(paths[:3])}" for verb, paths in found.items() if paths]
    if row.accepted and not any(path.endswith("report.html") for path in after):
        problems.append("wrote no report")
    return problems


@contextmanager
def importing_from(place: Path) -> Iterator[None]:
    """Modules are looked for in `place` first, as in a process that was started there, and forgotten afterwards."""
    known, writes_bytecode = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(place))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        for name in sorted(set(sys.modules) - known, reverse=True):  # a package after what it holds
            module = vars(sys.modules[name]) if isinstance(sys.modules[name], ModuleType) else {}
            path = module.get("__path__")
            places = [module.get("__file__"), *(path if isinstance(path, Iterable) else [])]
            if name.partition(".")[0] == "outputs" or any(str(found).startswith(str(place)) for found in places):
                del sys.modules[name]
        sys.path.remove(str(place))
        sys.dont_write_bytecode = writes_bytecode


@contextmanager
def time_limit(seconds: int | None) -> Iterator[None]:
    """Raises TooLong in the block when the time is over; None: there is no limit."""
    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _too_long(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TooLong


def _no_network(*_arguments: object, **_others: object) -> NoReturn:
    raise OSError("no network in this test")


def show(outcome: Outcome, verbose: bool) -> None:
    """One line; with `verbose` also what was typed and all that came back."""
    verdict = "; ".join(outcome.problems) or "ok"
    print(f"{outcome.row.kind} | {outcome.row.name} | {outcome.code} | {outcome.shown} | {verdict}", flush=True)
    if verbose:
        print(f"    {outcome.row.command} {' '.join(outcome.row.typed)}")
        for line in [*outcome.output.strip().splitlines(), *outcome.sentence.strip().splitlines()]:
            print(f"    {line}")


def summary(outcomes: Sequence[Outcome]) -> str:
    """The counts at the end."""
    tracebacks = sum(outcome.traceback for outcome in outcomes)
    silent = sum(outcome.code == 0 and not outcome.row.accepted for outcome in outcomes)
    failing = sum(bool(outcome.problems) for outcome in outcomes)
    sentences = sum(len(outcome.sentence.strip().splitlines()) == 1 and bool(outcome.code) for outcome in outcomes)
    return (
        f"{len(outcomes)} rows: {len(outcomes) - failing} ok, {failing} failing; {sentences} ended in one sentence, "
        f"{tracebacks} in a traceback, {silent} were accepted silently"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="PATTERN", default="", help="rows whose kind or name matches")
    parser.add_argument("--failing", action="store_true", help="show only rows that fail")
    parser.add_argument("--verbose", action="store_true", help="show what was typed and all that came back")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # huge settings fail, and the machine goes on
    outcomes = []
    with bench(SECONDS) as place:
        for row in ROWS:
            if not re.search(options.only, f"{row.kind} {row.name}"):
                continue
            outcomes.append(place.run(row))
            if outcomes[-1].problems or not options.failing:
                show(outcomes[-1], options.verbose)
    print(summary(outcomes))
    sys.exit(any(outcome.problems for outcome in outcomes))


if __name__ == "__main__":
    main()
