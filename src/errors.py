"""How a command ends early without being at fault itself, and how its one sentence is made: what, where, what to do."""

import difflib
import errno
from collections.abc import Sequence


class UserError(Exception):
    """A mistake that the user can mend, told in one sentence: what is wrong, where, and what to do."""


class Interrupted(BaseException):
    """A signal asked the command to end: SIGINT (Ctrl-C), SIGTERM or SIGUSR1; `signal_number` says which.

    Nothing that a resume needs is lost.

    Like KeyboardInterrupt it is no Exception: it ends a whole sweep, where a failing job lets the others continue.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number


def require(condition: bool, problem: str) -> None:
    """Raises UserError with `problem`, a sentence without its full stop, unless `condition` holds."""
    if not condition:
        raise UserError(f"{problem}.")


def require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises UserError unless `value` is one of `choices`."""
    require(value in choices, f"{name}={value} is not one of {', '.join(choices)}")


def suggest(name: str, valid: Sequence[str]) -> str:
    """The end of a sentence on an unknown name: "; did you mean lr? There are: lr, momentum."."""
    close = difflib.get_close_matches(name, valid, n=1)
    guess = f"did you mean {close[0]}? There" if close else "there"
    return f"; {guess} are: {', '.join(valid) or 'none'}."


OS_PROBLEMS = {
    errno.ENOSPC: "cannot be written, the disk is full; make room on it",
    errno.EDQUOT: "cannot be written, your disk quota is used up; remove files of yours",
    errno.EFBIG: "cannot be written, it is larger than this system or `ulimit -f` allows; raise that limit",
    errno.EROFS: "cannot be written, the file system is read-only; choose another folder with hydra.run.dir",
    errno.EACCES: "may not be opened, permission denied; change its permissions (chmod) or choose another place",
    errno.EPERM: "may not be changed, the system does not permit it; choose another place",
    errno.ENOENT: "does not exist, or its folder does not",
    errno.EEXIST: "exists already and is no folder; choose another name",
    errno.EISDIR: "is a folder, where a file is expected",
    errno.ENOTDIR: "lies below a file, where a folder is expected",
    errno.ENAMETOOLONG: "has too long a name; choose a shorter one",
    errno.ELOOP: "is a symbolic link that leads to itself",
    errno.EMFILE: "cannot be opened, too many files are open; raise `ulimit -n`",
    errno.EIO: "cannot be read or written, the disk reports an error",
}


def explain_os_error(error: OSError) -> str:
    """One sentence for a file or folder that could not be opened, read or written."""
    if error.errno is None:
        return f"{first_line(error).rstrip('.')}."
    place = error.filename2 or error.filename
    name = "a file" if place is None else _shown(place)
    if error.errno in OS_PROBLEMS:
        return f"{name} {OS_PROBLEMS[error.errno]}."
    return f"{name}: {error.strerror or ' '.join(str(error).split())}."


def first_line(error: BaseException) -> str:
    """The first line of the error's text, or its type's name where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _shown(place: str | bytes | int) -> str:
    return place.decode(errors="backslashreplace") if isinstance(place, bytes) else str(place)
