"""Documents of headings, paragraphs, tables, pictures and commands, as Markdown or one self-contained HTML page."""

import base64
import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hydra.core.hydra_config import HydraConfig

from src.errors import require
from src.files import write_atomically, write_text
from src.formatting import format_markdown, format_table
from src.run_dir import relative

if TYPE_CHECKING:  # sweeps print tables without importing Matplotlib
    from matplotlib.figure import Figure

CSS = """
body { font: 16px/1.55 Georgia, serif; color: #222; max-width: 72rem; margin: 2.5rem auto; padding: 0 1rem }
h1 { font-size: 1.9rem; margin-bottom: .3rem }
h2 { font-size: 1.3rem; margin-top: 2.4rem; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; font: 13px/1.4 system-ui, sans-serif; margin: 1rem 0 }
th, td { padding: .25rem .55rem; border-bottom: 1px solid #e3e3e3; vertical-align: top; text-align: left }
th { border-bottom: 2px solid #888 }
.right { text-align: right; font-variant-numeric: tabular-nums } .short { white-space: nowrap }
figure { margin: 1.2rem 0 } figure img { max-width: 100% } figcaption { color: #555; font-size: .9rem }
pre { background: #f6f6f4; padding: .7rem 1rem; font-size: 13px; line-height: 1.45 }
.wide, pre { overflow-x: auto }
"""
SHORT = 24  # cells of up to this many characters are not wrapped


class Heading(NamedTuple):
    text: str
    level: int = 2


class Table(NamedTuple):
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str  # one of "<" and ">" per column


@dataclass(frozen=True)
class Picture:
    name: str  # of the file, without .png
    caption: str
    figure: "Figure"

    @cached_property
    def png(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, dpi=110, format="png")
        return buffer.getvalue()


class Commands(NamedTuple):
    lines: Sequence[str]


Block = str | Heading | Table | Picture | Commands  # a string is a paragraph


def to_markdown(blocks: Sequence[Block]) -> str:
    """One Markdown text; it refers to the files that `save_pictures` writes."""
    return "\n\n".join(_render(block)[0] for block in blocks) + "\n"


def to_html(blocks: Sequence[Block], title: str) -> str:
    """One page that contains its pictures."""
    body = "\n".join(_render(block)[1] for block in blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{CSS}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


@contextmanager
def document_folder(page: str) -> Iterator[Path]:
    """The folder of the command, which Hydra has made; it is removed where nothing is written into it.

    Raises UserError unless it is empty or holds an older `page`: nothing else is written into.
    """
    folder = relative(Path(HydraConfig.get().runtime.output_dir))
    present = sorted(path.name for path in folder.iterdir())
    require(
        not present or page in present,
        f"{folder} is not empty and holds no {page} ({', '.join(present[:3])}{' ...' * (len(present) > 3)}); choose a "
        "new folder with hydra.run.dir",
    )
    try:
        yield folder
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def save_document(blocks: Sequence[Block], folder: Path, name: str, title: str) -> None:
    """Writes <name>.md, its pictures, and <name>.html, which contains them."""
    save_pictures(blocks, folder)
    write_text(folder / f"{name}.md", to_markdown(blocks))
    write_text(folder / f"{name}.html", to_html(blocks, title))


def to_text(blocks: Sequence[Block]) -> str:
    """For a terminal: tables, and paragraphs of at most 80 columns."""
    return "\n\n".join(
        format_table(*block) if isinstance(block, Table) else textwrap.fill(block, 80, break_on_hyphens=False)
        for block in blocks
    )


def save_pictures(blocks: Sequence[Block], folder: Path) -> None:
    """Writes each picture to `folder`/<name>.png."""
    for block in blocks:
        if isinstance(block, Picture):
            write_atomically(folder / f"{block.name}.png", lambda file, png=block.png: file.write(png))


def _render(block: Block) -> tuple[str, str]:
    """The block as Markdown and as HTML."""
    match block:
        case str(text):
            return text, f"<p>{escape(text)}</p>"
        case Heading(text, level):
            return f"{'#' * level} {text}", f"<h{level}>{escape(text)}</h{level}>"
        case Table(header, rows, align):
            lines = "\n".join([_html_row("th", header, align), *(_html_row("td", row, align) for row in rows)])
            return format_markdown(*block), f'<div class="wide"><table>\n{lines}\n</table></div>'
        case Picture(name, caption):
            text, data = escape(caption), base64.b64encode(block.png).decode()
            image = f'<img alt="{text}" src="data:image/png;base64,{data}">'
            html = f"<figure>{image}<figcaption>{text}</figcaption></figure>"
            return f"![{caption}]({name}.png)\n\n*{caption}*", html
        case Commands(lines):
            code = "\n".join(lines)
            return f"```sh\n{code}\n```", f"<pre>{escape(code)}</pre>"


def _html_row(tag: str, row: Sequence[str], align: str) -> str:
    cells = []
    for cell, side in zip(row, align, strict=True):
        kind = f"{'right' if side == '>' else 'left'}{' short' if len(cell) <= SHORT else ''}"
        cells.append(f'<{tag} class="{kind}">{escape(cell)}</{tag}>')
    return f"<tr>{''.join(cells)}</tr>"
