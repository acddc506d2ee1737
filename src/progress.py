"""A bar for work on many files, on standard error, and only where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[], None]]:
    """Within it each call of what it yields moves the bar by one of `total`; the bar vanishes at the end."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()  # rich also believes FORCE_COLOR
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)
