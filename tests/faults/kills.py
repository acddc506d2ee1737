"""Kills runs, sweeps and searches with SIGKILL, continues them, and compares the end with an undisturbed one."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from src.lock import is_locked
from tests.faults import driver
from tests.faults.places import Kill
from tests.faults.runs import PARALLEL, SEARCH, SINGLE, SWEEP, continue_arguments, find_differences

KINDS = {"single": SINGLE, "sweep": SWEEP, "search": SEARCH, "parallel": PARALLEL}
AT_ONCE = 2
AFTER = 10**9  # an event that never comes
VICTIMS = ("one job", "the sweep alone", "the sweep and its jobs")  # of a parallel sweep


@dataclass(frozen=True)
class Undisturbed:
    """What a command leaves that nobody kills, how long it takes, and how many events each call of a place has."""

    kind: str
    folder: Path
    seconds: float
    process_seconds: float  # as a process of its own, with imports
    counts: dict[str, list[int]]


@dataclass
class Case:
    """What came of one run or sweep that was killed."""

    name: str
    places: list[str] = field(default_factory=list)  # of each kill
    continued: int = 0
    differences: list[str] = field(default_factory=list)


def kill_all(numbers: dict[str, int], seed: int) -> bool:
    """Kills so many runs of each kind; prints a line for each kind; whether all ended as the undisturbed one."""
    place = Path(tempfile.mkdtemp(prefix="kills_"))
    driver.warm_up()
    good = True
    for kind in (kind for kind, number in numbers.items() if number):
        undisturbed = run_undisturbed(kind, place)
        cases = run_cases(undisturbed, numbers[kind], seed, place)
        good &= print_cases(kind, cases, place)
    if good:
        shutil.rmtree(place)
    return good


def run_undisturbed(kind: str, place: Path) -> Undisturbed:
    """Runs the command twice: to time it, and to count the events of its places."""
    folder, notes, arguments = place / kind, place / f"{kind}_notes", KINDS[kind]
    folder.mkdir()
    ended = driver.run("train", arguments, folder, notes)
    if ended.code:
        raise SystemExit(f"the undisturbed {kind} failed:\n{ended.errors}")
    if kind == "parallel":
        return Undisturbed(kind, folder, ended.seconds, ended.seconds, {})
    counted = place / f"{kind}_counted"
    counted.mkdir()
    counts = driver.run("train", arguments, counted, notes, counting=True).counts
    shutil.rmtree(counted)
    (counted := place / f"{kind}_process").mkdir()
    process_seconds = driver.start_process(arguments, counted, notes).wait().seconds
    if differences := find_differences(folder, counted):
        raise SystemExit(f"two undisturbed runs of {kind} differ: {'; '.join(differences)}")
    shutil.rmtree(counted)
    return Undisturbed(kind, folder, ended.seconds, process_seconds, counts)


def run_cases(undisturbed: Undisturbed, number: int, seed: int, place: Path) -> list[Case]:
    """The cases, two at a time; a parallel sweep uses both cores itself."""
    workers = 1 if undisturbed.kind == "parallel" else AT_ONCE

    def work(worker: int) -> list[dict[str, Any]]:
        names = {index: f"{seed} {undisturbed.kind} {index}" for index in range(worker, number, workers)}
        return [asdict(run_case(undisturbed, i, random.Random(name), place)) for i, name in names.items()]

    return [Case(**content) for content in driver.share_out(work, workers, place)]


def run_case(undisturbed: Undisturbed, index: int, generator: random.Random, place: Path) -> Case:
    """Kills a run once or twice, continues it, compares it; removes its folder where it is the same."""
    case = Case(f"{undisturbed.kind}_{index}")
    cwd, notes = place / case.name, place / f"{case.name}_notes"
    cwd.mkdir()
    case.places += kill_once(undisturbed, index, generator, cwd, notes)
    if generator.random() < 0.3:
        case.places += kill_at_random_time(undisturbed, index, generator, cwd, notes)
    case.differences += continue_to_end(case, KINDS[undisturbed.kind], cwd, notes)
    case.differences += find_differences(undisturbed.folder, cwd)
    if not case.differences:
        shutil.rmtree(cwd)
    shutil.rmtree(notes)
    return case


def kill_once(undisturbed: Undisturbed, index: int, generator: random.Random, cwd: Path, notes: Path) -> Sequence[str]:
    """Every second case is killed at a chosen place, every tenth as a process of its own, with imports."""
    if undisturbed.kind == "parallel" or index % 10 in (1, 3, 7, 9):
        return kill_at_random_time(undisturbed, index, generator, cwd, notes)
    arguments = KINDS[undisturbed.kind]
    if index % 10 == 5:
        started = driver.start_process(arguments, cwd, notes)
        ended = started.wait(generator.uniform(0, undisturbed.process_seconds))
        return [ended.place if ended.code == -signal.SIGKILL else "after the end"]
    kill = choose_place(undisturbed.counts, generator)
    ended = driver.run("train", arguments, cwd, notes, kill=kill)
    if ended.code != -signal.SIGKILL:
        return [f"never reached: {kill.place}"]
    moment = {0: "before", AFTER: "after"}.get(kill.event, "within")
    return [f"{moment} {kill.place}"]


def choose_place(counts: dict[str, list[int]], generator: random.Random) -> Kill:
    place = generator.choice(sorted(counts))
    call = generator.randint(1, len(counts[place]))
    within = generator.randint(1, max(1, counts[place][call - 1]))
    return Kill(place, call, generator.choice([0, within, within, AFTER]))


def kill_at_random_time(
    undisturbed: Undisturbed, index: int, generator: random.Random, cwd: Path, notes: Path
) -> Sequence[str]:
    """Starts or continues the run, and kills it; nothing where there is nothing left to continue."""
    arguments = continue_arguments(KINDS[undisturbed.kind], cwd)
    started = driver.start("train", arguments, cwd, notes)
    seconds = generator.uniform(0, undisturbed.seconds)
    if undisturbed.kind != "parallel":
        ended = started.wait(seconds)
        return [ended.place if ended.code == -signal.SIGKILL else "after the end"]
    killed: list[str] = []
    started.wait(seconds, partial(kill_processes, VICTIMS[index % len(VICTIMS)], killed.append))
    done = sum("completed" in file.read_text() for file in cwd.glob("sweep/*/result.json"))
    return [f"{victim} after {done} jobs" for victim in killed] or ["after the end"]


def kill_processes(victim: str, note: Callable[[str], None], pid: int) -> None:
    """Kills processes of a parallel sweep, which is stopped meanwhile so that it starts no other."""
    os.kill(pid, signal.SIGSTOP)
    jobs = children_of(pid)
    victim = victim if jobs else "the sweep alone"
    note(victim)
    for number in {"one job": jobs[:1], "the sweep alone": [pid], "the sweep and its jobs": [*jobs, pid]}[victim]:
        os.kill(number, signal.SIGKILL)
    os.kill(pid, signal.SIGCONT)


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, as Linux lists them."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(file.read_text().rpartition(")")[2].split()[1])
        except (OSError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(file.parent.name))
    return found


def continue_to_end(case: Case, arguments: tuple[str, ...], cwd: Path, notes: Path) -> list[str]:
    """Continues until the exit code is 0: at once, or where a job outlived its sweep once that has ended."""
    for _ in range(4 if arguments is PARALLEL else 1):
        ended = driver.run("train", continue_arguments(arguments, cwd), cwd, notes)
        case.continued += 1
        while any(is_locked(file) for file in cwd.rglob(".lock")):
            time.sleep(0.05)
        if ended.code == 0:
            return []
    last = (ended.errors.strip().splitlines() or ["nothing printed"])[-1]
    return [f"continuing ended with exit code {ended.code}: {last}"]


def print_cases(kind: str, cases: Sequence[Case], place: Path) -> bool:
    """The line of a kind, and a line for each case that ended otherwise; whether there is none."""
    counts = Counter(place for case in cases for place in case.places)
    bad = [case for case in cases if case.differences]
    print(
        f"{kind}: {sum(counts.values())} kills of {len(cases)}, {sum(case.continued for case in cases)} times "
        f"continued, {len(cases) - len(bad)} of {len(cases)} equal; "
        + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())),
        flush=True,
    )
    for case in bad:
        print(f"  {place / case.name}, killed {' and '.join(case.places)}: {'; '.join(case.differences)}", flush=True)
    return not bad
