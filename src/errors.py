"""The two ways in which a command ends early without being at fault itself, and how requirements are stated."""

from collections.abc import Sequence


class UserError(Exception):
    """A mistake that the user can mend, told in one sentence: what is wrong, where, and what to do."""


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM arrived; `signal_number` says which. Nothing that a resume needs is lost.

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
