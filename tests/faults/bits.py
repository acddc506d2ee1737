"""Flips single bits in the files of runs, and looks at what the commands that read them make of it."""

import json
import random
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from src.training import saving
from src.training.trainer import Trainer
from tests.conftest import Done, run_in_process
from tests.faults.runs import SETTINGS, find_differences, read_comparable, resume_arguments, same

UNREAD = ("figures/", "train.log", "summary.txt", "events.out")  # by no command; `report` draws its own pictures
READERS = {
    "evaluate": ("evaluate", "run=runs/done", "device=cpu"),
    "evaluate last": ("evaluate", "run=runs/done", "checkpoint=last", "split=val", "format=json", "device=cpu"),
    "predict": ("predict", "run=runs/done", "images=image.png", "format=json", "device=cpu"),
    "report": ("report", "runs=runs", "hydra.run.dir=report"),
}
REPORTED = ("report.md", "sweep.csv", "sweep.md")
WORDS = ("cannot be read", "damaged", "unreadable")  # by which a report that goes on lists a run
AT_ONCE = 2
STOP_AT_STEP = 25  # of 40: within the third epoch
OUTCOMES = ("noticed", "harmless", "SILENT", "TRACEBACK")


@dataclass(frozen=True)
class Flip:
    """One flipped bit, and what came of it."""

    run: str  # "done" or "part"
    name: str  # of the file in its folder
    position: int  # of the byte
    bit: int
    outcome: str = ""
    command: str = ""
    said: str = ""


def make_runs(place: Path) -> None:
    """A finished run and a copy, one that was interrupted within an epoch, and an image."""
    done = run_in_process("train", *SETTINGS, "hydra.run.dir=runs/done", cwd=place)
    if done.returncode:
        raise SystemExit(f"a run of the harness failed:\n{done.stderr}")
    shutil.copytree(place / "runs" / "done", place / "runs" / "other")
    save_or_stop = saving.log_save_or_stop

    def stop_within_an_epoch(trainer: Trainer) -> bool:
        if trainer.state.step == STOP_AT_STEP:
            trainer.stop.signal_number = signal.SIGTERM
        return save_or_stop(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving, "log_save_or_stop", stop_within_an_epoch)
        run_in_process("train", *SETTINGS, "hydra.run.dir=part", cwd=place)
    status = json.loads((place / "part" / "result.json").read_text())["status"]
    if status != "interrupted":
        raise SystemExit(f"the run that should be interrupted is {status}")
    Image.effect_noise((8, 8), 100).convert("RGB").save(place / "image.png")


def choose_flips(place: Path, per_file: int, generator: random.Random) -> list[Flip]:
    """The first and the last bit of each file, and random ones; three of a file that no command reads."""
    flips = []
    for run, folder in (("done", place / "runs" / "done"), ("part", place / "part")):
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size):
            name, size = str(path.relative_to(folder)), path.stat().st_size
            number = min(3, per_file) if name.startswith(UNREAD) else per_file
            positions = [(0, 0), (size - 1, 7)]
            positions += [(generator.randrange(size), generator.randrange(8)) for _ in range(number - 2)]
            flips += [Flip(run, name, position, bit) for position, bit in positions[:number]]
    return flips


def try_flip(place: Path, flip: Flip) -> Flip:
    """Flips the bit, runs the commands that read the folder, flips it back."""
    folder = place / ("runs/done" if flip.run == "done" else "part")
    file = folder / flip.name
    before = file.read_bytes()
    expected = None if flip.run == "part" else undamaged(place)
    values = _values(file)
    damaged = bytearray(before)
    damaged[flip.position] ^= 1 << flip.bit
    file.write_bytes(damaged)
    try:
        found = [_try_resume(place)] if expected is None else list(_try_readers(place, expected))
        is_quiet = all(outcome == "harmless" for outcome, *_ in found) and flip.run == "done"
        if is_quiet and not flip.name.startswith(UNREAD) and not same(values, _values(file)):
            found = [("SILENT", "none", "the values in the file differ, and no command says so")]
    finally:
        file.write_bytes(before)
    for outcome in ("TRACEBACK", "SILENT", "noticed", "harmless"):
        if worst := next((one for one in found if one[0] == outcome), None):
            return replace(flip, outcome=worst[0], command=worst[1], said=worst[2])
    raise AssertionError("no command was run")


def try_flips(place: Path, flips: Sequence[Flip]) -> list[Flip]:
    """All of them, two at a time, each worker in a copy of the folder."""
    from tests.faults.driver import share_out

    def work(worker: int) -> list[dict[str, Any]]:
        own = place.with_name(f"{place.name}_{worker}")
        shutil.copytree(place, own)
        return [asdict(try_flip(own, flip)) for flip in flips[worker::AT_ONCE]]

    return [Flip(**content) for content in share_out(work, AT_ONCE, place)]


def flip_all(per_file: int, seed: int) -> bool:
    """Prints a table with a row per file, then what went wrong; whether nothing did."""
    from tests.faults.driver import warm_up

    warm_up()
    place = Path(tempfile.mkdtemp(prefix="bits_")) / "work"
    place.mkdir()
    make_runs(place)
    flips = try_flips(place, choose_flips(place, per_file, random.Random(seed)))
    shutil.rmtree(place.parent)
    counts = Counter((flip.run, flip.name, flip.outcome) for flip in flips)
    print(f"{'run':<5}{'file':<42}" + "".join(f"{outcome:>11}" for outcome in OUTCOMES))
    for run, name in dict.fromkeys((flip.run, flip.name) for flip in sorted(flips, key=lambda f: (f.run, f.name))):
        print(f"{run:<5}{name[:40]:<42}" + "".join(f"{counts[run, name, outcome]:>11}" for outcome in OUTCOMES))
    bad = [flip for flip in flips if flip.outcome in ("SILENT", "TRACEBACK")]
    for flip in sorted(bad, key=lambda flip: (flip.run, flip.name, flip.position)):
        print(f"{flip.outcome} {flip.run} {flip.name} byte {flip.position} bit {flip.bit}, {flip.command}: {flip.said}")
    return not bad


@cache
def undamaged(place: Path) -> dict[str, tuple[str, ...]]:
    """What each command says of the runs as they are."""
    return {name: _read(place, arguments)[1] for name, arguments in READERS.items()}


def _read(place: Path, arguments: Sequence[str]) -> tuple[Done, tuple[str, ...]]:
    """Runs a command; its output, and what it wrote."""
    shutil.rmtree(place / "report", ignore_errors=True)
    done = run_in_process(*arguments, cwd=place)
    written = [place / "report" / name for name in REPORTED]
    return done, (done.stdout, *(file.read_text() for file in written if file.exists()))


def _try_readers(place: Path, expected: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str, str]]:
    for name, arguments in READERS.items():
        done, output = _read(place, arguments)
        if done.returncode or "Traceback" in done.stderr:
            yield _failed(name, done)
        elif output == expected[name]:
            yield "harmless", name, ""
        elif name == "report" and any(word in text for word in WORDS for text in output):
            yield "noticed", name, "listed in the report"
        else:
            lines = zip("\n".join(output).splitlines(), "\n".join(expected[name]).splitlines(), strict=False)
            yield "SILENT", name, next((one.strip()[:100] for one, other in lines if one != other), "fewer lines")


def _try_resume(place: Path) -> tuple[str, str, str]:
    """The interrupted run, continued in a copy, must end as the finished one."""
    (place / "again").mkdir()
    again = place / "again" / "part"
    shutil.copytree(place / "part", again)
    try:
        done = run_in_process("train", *resume_arguments("again/part"), cwd=place)
        if done.returncode or "Traceback" in done.stderr:
            return _failed("resume", done)
        differences = find_differences(place / "runs" / "done", again)
    finally:
        shutil.rmtree(place / "again")
    return ("SILENT", "resume", "; ".join(differences)[:100]) if differences else ("harmless", "resume", "")


def _failed(command: str, done: Done) -> tuple[str, str, str]:
    """An error should be one sentence."""
    last = (done.stderr.strip().splitlines() or ["nothing printed"])[-1]
    good = "Traceback" not in done.stderr and "error: " in done.stderr
    return "noticed" if good else "TRACEBACK", command, last[:100]


def _values(file: Path) -> object:
    """What a command reads from a file, of a checkpoint all; its bytes where it cannot be parsed."""
    try:
        if file.name == "result.json":
            return json.loads(file.read_text())
        content = torch.load(file, weights_only=True) if file.suffix == ".pt" else read_comparable(file)
    except Exception:
        return file.read_bytes()
    return file.read_bytes() if content is None else content
