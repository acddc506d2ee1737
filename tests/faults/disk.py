"""Runs whose disk is full: what they print, what they leave, and whether they continue once there is room."""

import errno
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch

from tests.conftest import run_in_process
from tests.faults.full_disk import FailingWrites, fill, limit_files, small_disk
from tests.faults.runs import SINGLE, continue_arguments, find_differences

ADVICE = ("free", "room", "resume", "continue", "mended", "try again", "remove", "choose")
HARMLESS = ("train.log", "events.out", ".png")  # a run completes without these files
PLACES = (  # of writes: a part of the file's name, which opening, which write
    ("config.yaml", 1, 1), ("result.json", 1, 1), ("result.json", 2, 1), ("result.json", 9, 1), ("summary.txt", 1, 1),
    ("last.pt", 1, 1), ("last.pt", 1, 3), ("last.pt", 7, 2), ("best.pt", 1, 1), ("best.pt", 2, 2),
    ("history.csv", 1, 1), ("history.csv", 5, 1), ("test_logits.pt", 1, 1), ("per_class.csv", 1, 1),
    ("train.log", 1, 1), ("train.log", 1, 8), ("events.out", 1, 1), ("events.out", 3, 1), ("accuracy.png", 1, 1),
)  # fmt: skip
ERRORS = ((errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EDQUOT, False), (errno.EROFS, False))
LEFT_KIB = (0, 4, 8, 16, 32, 64, 72, 100, 150, 200, 220, 240, 260)
FILE_KIB = (8, 24, 48, 68)
AT_ONCE = 2
TIMEOUT = 60.0


class Done(Protocol):
    """How a command ended; of a forked child or in this process."""

    output: str
    errors: str
    code: int


@dataclass
class Row:
    """What one fault did."""

    place: str
    printed: str
    kept: str
    resumed: str
    problems: list[str] = field(default_factory=list)


@dataclass
class DoneHere:
    code: int
    output: str
    errors: str


def run_here(arguments: Sequence[str], cwd: Path, fault: FailingWrites | None = None) -> DoneHere:
    """Runs src.train in this process, with a fault."""
    if fault:
        with fault.installed():
            done = run_in_process("train", *arguments, cwd=cwd)
    else:
        done = run_in_process("train", *arguments, cwd=cwd)
    return DoneHere(done.returncode, done.stdout, done.stderr)


def try_fault(fault: FailingWrites, expected: Path, cwd: Path, run: Callable[..., Done]) -> Row:
    """Trains with failing writes, looks at what is left, and continues without them."""
    failed = run(SINGLE, cwd, fault)
    row = inspect(fault.title, failed, cwd, None if fault.lasting else fault.name)  # lasting: no file can be written
    if not fault.mark.exists():
        row.problems = ["the place was never reached"]
    fault.mark.unlink(missing_ok=True)
    return finish(row, expected, cwd, run)


def inspect(place: str, done: Done, cwd: Path, file: str | None) -> Row:
    """What a run printed and left when it had no room; `file` is a part of the name that it should tell."""
    last = (done.errors.strip().splitlines() or [""])[-1]
    warned = next((line.strip() for line in done.output.splitlines() if file and file in line), "")
    row = Row(place, (last if done.code or last else warned) or "nothing", kept(cwd / "run"), "")
    if "Traceback" in done.errors + done.output:
        row.problems.append("traceback")
    if done.code:
        row.problems += judge_sentence(done, file)
    elif file and not file.startswith(HARMLESS) and not file.endswith(HARMLESS):
        row.problems.append("the failure is not noticed: exit code 0")
    elif file and not warned and file not in done.errors:
        row.problems.append("no warning names the file")
    row.problems += [f"{path.relative_to(cwd)} is left" for path in sorted(cwd.rglob("*.part"))]
    return row


def judge_sentence(done: Done, file: str | None) -> list[str]:
    lines = done.errors.strip().splitlines()
    last = lines[-1] if lines else ""
    checks = {
        "not one line": bool(lines) and all(line.startswith("warning: ") for line in lines[:-1]),
        "killed": done.code > 0,
        "the sentence names no file": "run/" in last if file is None else file in last,
        "the sentence says not what to do": any(word in last for word in ADVICE),
    }
    return [problem for problem, is_good in checks.items() if not is_good]


def kept(run: Path) -> str:
    """The status in result.json, and whether a checkpoint can be loaded."""
    try:
        result = json.loads((run / "result.json").read_text())
        said = result["status"] + (", reason" if result.get("reason") else "")
    except FileNotFoundError:
        said = "no result.json" if (run / "config.yaml").exists() else "nothing"
    except ValueError:
        return "DAMAGED result.json"
    for name in ("last", "best"):
        file = run / "checkpoints" / f"{name}.pt"
        try:
            said += f", {name}.pt" if file.exists() and torch.load(file, weights_only=True) else ""
        except Exception as error:  # whatever a damaged file raises
            return f"DAMAGED {name}.pt: {error}"
    return said


def finish(row: Row, expected: Path, cwd: Path, run: Callable[..., Done]) -> Row:
    """Continues the run now that there is room, and compares it."""
    if row.kept.startswith("DAMAGED"):
        row.problems.append(row.kept)
    elif not row.kept.startswith(("completed", "failed, reason", "waiting", "nothing")) and "lasting" not in row.place:
        row.problems.append(f"result.json says {row.kept}")
    done = run(continue_arguments(SINGLE, cwd), cwd)
    differences = find_differences(expected / "run", cwd / "run")
    if row.kept.startswith("completed"):
        differences = [text for text in differences if "figures/" not in text]
    row.resumed = "equal" if not differences and done.code == 0 else "DIFFERENT"
    row.problems += [f"continued with exit code {done.code}"] * (done.code != 0) + differences
    shutil.rmtree(cwd / "run", ignore_errors=True)
    return row


def fill_disks() -> bool:
    """Every fault once, two at a time; prints a table and what is wrong; whether nothing is."""
    from tests.faults import driver

    driver.warm_up()
    place = Path(tempfile.mkdtemp(prefix="disk_"))
    (place / "expected").mkdir()
    driver.run("train", SINGLE, place / "expected", place / "notes")

    def work(worker: int) -> list[dict[str, Any]]:
        return [asdict(row) for row in fill_as(worker, place, place / f"work_{worker}")]

    rows = [Row(**content) for content in driver.share_out(work, AT_ONCE, place)]
    print_rows(rows)
    shutil.rmtree(place)
    return not any(row.problems for row in rows)


def fill_as(worker: int, place: Path, cwd: Path) -> Iterator[Row]:
    """The faults of one worker: every second write that fails, every second size."""
    from tests.faults import driver

    def run(arguments: Sequence[str], cwd: Path, fault: FailingWrites | None = None, **options: Any) -> Done:
        prepare = partial(fault.install, pytest.MonkeyPatch()) if fault else None
        notes = place / f"notes_{worker}"
        return driver.start("train", arguments, cwd, notes, **{"prepare": prepare, **options}).wait(TIMEOUT)

    cwd.mkdir()
    again = partial(finish, expected=place / "expected", run=run)
    for at, error in list(product(PLACES, ERRORS))[worker::AT_ONCE]:
        yield try_fault(FailingWrites(*at, *error, folder=cwd), place / "expected", cwd, run)
    for kib in FILE_KIB[worker::AT_ONCE]:
        done = run(SINGLE, cwd, prepare=partial(limit_files, kib))
        yield again(inspect(f"files of {kib} KiB at most", done, cwd, None), cwd=cwd)
    with small_disk(cwd / "small") as mounted:
        if not mounted and worker == 0:
            print("mounting is not allowed here, so no disk was filled; the limit on the size of files stands for it")
        for kib in LEFT_KIB[worker::AT_ONCE] if mounted else ():
            filler = fill(cwd / "small", kib)
            row = inspect(f"{kib} KiB left, lasting", run(SINGLE, cwd / "small"), cwd / "small", None)
            filler.unlink()
            yield again(row, cwd=cwd / "small")


def print_rows(rows: Sequence[Row]) -> None:
    print(f"{'place':<36}{'printed':<102}{'kept':<36}resumed")
    for row in rows:
        print(f"{row.place:<36}{row.printed[:100]:<102}{row.kept:<36}{row.resumed}")
    bad = [row for row in rows if row.problems]
    print(f"\n{len(rows)} faults, {len(rows) - len(bad)} without a problem")
    for row in bad:
        print(f"  {row.place}: {'; '.join(row.problems)}")
