import io
import sys

import pytest

from src.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shows"), [(io.StringIO(), False), (Terminal(), True)])
def test_the_bar_is_for_terminals_alone(stream, shows, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("reading", 3) as advance:
        for _ in range(3):
            advance()
    assert ("3/3" in stream.getvalue()) == shows
    assert bool(stream.getvalue()) == shows
