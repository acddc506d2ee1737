"""Plain text tables that look the same in a terminal, a log and a mail."""

from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str = "") -> str:
    """Columns as wide as their widest cell, a rule below the header.

    `align` holds one of "<" and ">" per column; all columns are left-aligned without it.
    """
    align = align or "<" * len(header)
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, align, widths, strict=True)).rstrip()
        for line in lines
    )


def format_markdown(header: Sequence[str], rows: Sequence[Sequence[str]], align: str = "") -> str:
    """The same as a table of Markdown."""
    align = align or "<" * len(header)
    rule = ["---" if side == "<" else "---:" for side in align]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *escaped))


def percent(fraction: float | None) -> str:
    """0.3664 as "36.64 %"; nothing measured as "-"."""
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


def duration(seconds: float) -> str:
    """Seconds as "48 s", "7 min 09 s" or "13 h 02 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
