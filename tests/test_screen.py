import io

import pytest
from rich.console import Console

from src import screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch):
    """shown(Terminal(), NO_COLOR="1") -> what a red line is there, and whether there is a bar."""

    def show(stream, **variables):
        for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm", **variables}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(screen, "console", Console(file=stream))
        screen.say("lost [bold]", screen.BAD)
        return stream.getvalue(), screen.has_bars()

    return show


def test_a_terminal_has_colors_and_bars(shown):
    assert shown(Terminal()) == ("\x1b[31mlost [bold]\x1b[0m\n", True)


def test_a_pipe_has_neither(shown):
    assert shown(io.StringIO()) == ("lost [bold]\n", False)


def test_colors_can_be_forced_into_a_pipe_but_no_bar(shown):
    assert shown(io.StringIO(), FORCE_COLOR="1") == ("\x1b[31mlost [bold]\x1b[0m\n", False)


@pytest.mark.parametrize(("variables", "bars"), [({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)])
def test_colors_can_be_refused(shown, variables, bars):
    assert shown(Terminal(), **variables) == ("lost [bold]\n", bars)


def test_errors_go_to_stderr(capsys):
    screen.say_error("error: " + 100 * "x")
    assert capsys.readouterr() == ("", f"error: {100 * 'x'}\n")  # not wrapped
