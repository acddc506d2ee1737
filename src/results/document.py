"""A document of headings, paragraphs, tables, pictures and commands, as Markdown or as one self-contained HTML page."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from src.tables import format_markdown

CSS = """
body { font: 16px/1.55 Georgia, serif; color: #222; max-width: 72rem; margin: 2.5rem auto; padding: 0 1rem }
h1 { font-size: 1.9rem; margin-bottom: .3rem }
h2 { font-size: 1.3rem; margin-top: 2.4rem; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; font: 13px/1.4 system-ui, sans-serif; margin: 1rem 0 }
th, td { padding: .25rem .55rem; border-bottom: 1px solid #e3e3e3; vertical-align: top; text-align: left }
th { border-bottom: 2px solid #888 }
.right { text-align: right; font-variant-numeric: tabular-nums }
.short { white-space: nowrap }
.wide { overflow-x: auto }
figure { margin: 1.2rem 0 }
figure img { max-width: 100% }
figcaption { color: #555; font-size: .9rem }
pre { background: #f6f6f4; padding: .7rem 1rem; overflow-x: auto; font-size: 13px; line-height: 1.45 }
"""
SHORT = 24  # characters that a cell holds on one line


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Table:
    """`align` holds one of "<" and ">" per column."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str


@dataclass(frozen=True)
class Picture:
    name: str  # of its file, without .png
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Commands:
    lines: Sequence[str]


Block = Heading | Paragraph | Table | Picture | Commands


def to_markdown(blocks: Sequence[Block]) -> str:
    """Pictures are named as files beside it: <name>.png."""
    return "\n\n".join(map(_markdown, blocks)) + "\n"


def to_html(blocks: Sequence[Block], title: str) -> str:
    """One page without any other file: the pictures are inside."""
    body = "\n".join(map(_html, blocks))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f"<style>{CSS}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def save_pictures(blocks: Sequence[Block], folder: Path) -> None:
    for block in blocks:
        if isinstance(block, Picture):
            (folder / f"{block.name}.png").write_bytes(_png(block.figure))


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Table(header, rows, align):
            return format_markdown(header, rows, align)
        case Picture(name, caption):
            return f"![{caption}]({name}.png)\n\n*{caption}*"
        case Commands(lines):
            return "\n".join(["```sh", *lines, "```"])


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{html.escape(text)}</p>"
        case Table():
            return _html_table(block)
        case Picture(_, caption, figure):
            data = base64.b64encode(_png(figure)).decode()
            text = html.escape(caption)
            return (
                f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
            )
        case Commands(lines):
            return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _html_table(table: Table) -> str:
    sides = ["right" if side == ">" else "left" for side in table.align]

    def line(tag: str, row: Sequence[str]) -> str:
        cells = (
            f'<{tag} class="{side}{" short" * (len(cell) <= SHORT)}">{html.escape(cell)}</{tag}>'
            for side, cell in zip(sides, row, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    rows = "\n".join(line("td", row) for row in table.rows)
    return f'<div class="wide"><table>\n{line("th", table.header)}\n{rows}\n</table></div>'


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return buffer.getvalue()
