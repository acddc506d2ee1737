"""The two ways in which a command ends early without being at fault itself."""


class UserError(Exception):
    """A mistake that the user can mend, told in one sentence: what is wrong, where, and what to do."""


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM arrived; `signal_number` says which. Everything was saved before this was raised.

    Like KeyboardInterrupt no Exception: it ends a whole sweep, where a failing job lets the others go on.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return type(self), (self.signal_number,)  # a worker's interruption reaches the process that started it
