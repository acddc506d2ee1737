"""What a wrong input is: a command line, how its folders are prepared, and the sentence that must answer it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.quick import QUICK

PLACEHOLDERS = {"run": "outputs/run", "paused": "outputs/paused", "sweep": "outputs/sweep"}  # copied for each row
JOB = "outputs/sweep/1_seed-1"  # the job of the sweep that is damaged
NEW_RUN = r"(outputs/|multirun/)?\d{4}-\d\d-\d\d_[^/]*_[0-9a-f]{6}(/|$)"  # a folder that a command named itself
RESUMED = r"outputs/paused/(SHA256SUMS|result\.json|train\.log|\.lock)$"
NOTHING = r"$^"

Prepare = Callable[[Path], object]


@dataclass(frozen=True)
class Row:
    """One wrong input.

    Args:
        kind: the group of rows that it belongs to.
        name: short, and like no other.
        command: train, evaluate, predict, report or benchmark.
        arguments: what is typed; {run}, {paused} and {sweep} stand for a finished run, one that was paused after its
            first epoch, and a finished sweep of three jobs.
        expected: what the sentence on stderr must match, whatever the case; of an accepted row what stdout must match.
        prepare: is called with the working directory, where it makes or damages files.
        accepted: the command must cope with it: exit code 0, and a report is written.
        may_write: the files, relative to the working directory, that may appear or change.
        needs: placeholders that no argument names.
    """

    kind: str
    name: str
    command: str
    arguments: tuple[str, ...]
    expected: str
    prepare: Prepare | None = None
    accepted: bool = False
    may_write: str = NOTHING
    needs: tuple[str, ...] = ()

    @property
    def typed(self) -> list[str]:
        """The arguments without placeholders."""
        return [_fill(argument) for argument in self.arguments]

    @property
    def copied(self) -> list[str]:
        """The placeholders whose folders the row needs."""
        text = " ".join(self.arguments)
        return [name for name in PLACEHOLDERS if f"{{{name}}}" in text or name in self.needs]

    @property
    def is_sweep(self) -> bool:
        return bool({"-m", "--multirun"} & set(self.arguments))


def _fill(argument: str) -> str:
    for name, path in PLACEHOLDERS.items():
        argument = argument.replace(f"{{{name}}}", path)
    return argument


def train_rows(kind: str, table: Iterable[tuple[str, str]], added: Iterable[str] = QUICK) -> list[Row]:
    """One row for each (arguments, sentence): `python -m src.train` with quick settings and these arguments."""
    return [Row(kind, text, "train", (*added, *text.split()), expected, may_write=NEW_RUN) for text, expected in table]


def command_rows(kind: str, command: str, table: Iterable[tuple[str, str]]) -> list[Row]:
    """One row for each (arguments, sentence) of another command, which writes nothing."""
    return [Row(kind, f"{command} {text}".strip(), command, tuple(text.split()), expected) for text, expected in table]
