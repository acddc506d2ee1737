"""Plain text that looks the same in a terminal, a log and a mail: tables, numbers, foreign names."""

import textwrap
from collections.abc import Sequence
from unicodedata import category

LINE = 80  # columns of a terminal
NARROWEST = 30  # columns: text is not wrapped into fewer
ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's categories: control, format, surrogate, line, paragraph


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """A table with columns as wide as their widest cell; `align` holds one of "<" and ">" per column.

    Text in the last column is wrapped at the end of an 80-column line, if the other columns leave enough room.
    """
    room = LINE - sum(max(map(len, column)) + 2 for column in list(zip(header, *rows, strict=True))[:-1])
    if align[-1] == "<" and room >= NARROWEST:
        rows = [line for row in rows for line in _wrap_last(row, room)]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, align, widths, strict=True)).rstrip()
        for line in lines
    )


def _wrap_last(row: Sequence[str], width: int) -> list[list[str]]:
    """The row with the text of its last cell in lines of at most `width`, one below the other."""
    first, *others = textwrap.wrap(row[-1], width, break_long_words=False, break_on_hyphens=False) or [""]
    return [[*row[:-1], first], *([""] * (len(row) - 1) + [line] for line in others)]


def format_markdown(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """The same as a Markdown table."""
    rule = ["---" if side == "<" else "---:" for side in align]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *escaped))


def percent(fraction: float | None) -> str:
    """0.3664 as "36.64 %", None as "-"."""
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


def duration(seconds: float) -> str:
    """Seconds as "48 s", "7 min 09 s" or "13 h 02 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def count(number: int, noun: str) -> str:
    """ "1 run", "2 runs", "1,000 runs"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def printable(text: str) -> str:
    r"""The text without characters that are invisible or act on a terminal: these become escapes, as in "\n", "\x1b".

    They are control and format characters (direction, zero width), line separators, and bytes that are not UTF-8.
    """
    return "".join(_escape(character) if category(character) in ESCAPED else character for character in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def first_three(names: Sequence[str]) -> str:
    """ "a, b, c and 4 more", with names as `printable` shows them."""
    shown = ", ".join(map(printable, names[:3]))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
