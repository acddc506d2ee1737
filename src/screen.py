"""The terminal as Rich draws on it: colors where they are wanted, a bar where it can be drawn over, else plain text.

Rich itself obeys NO_COLOR, FORCE_COLOR and TERM=dumb. Styles here are colors alone, so that NO_COLOR leaves none.
"""

import sys

from rich.console import Console

console = Console(highlight=False, markup=False, soft_wrap=True)

GOOD, BAD, DOUBTFUL = "green", "red", "yellow"


def say(text: str, style: str | None = None) -> None:
    """Prints `text` as it is, above a bar; `style` is one of the colors."""
    if console.is_jupyter:  # where Rich would make each line a display of its own
        print(text, flush=True)
    else:
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def say_error(text: str) -> None:
    """Prints `text` to stderr, in red and, by Rich's stand-in for stderr, above a bar."""
    console = Console(stderr=True)
    with console.capture() as captured:
        console.print(text, style=BAD, highlight=False, markup=False, soft_wrap=True)
    print(captured.get(), end="", file=sys.stderr, flush=True)


def has_bars() -> bool:
    """Whether output can be drawn over. Not a pipe, for which FORCE_COLOR asks for colors, and not TERM=dumb."""
    return console.is_interactive and console.file.isatty()
