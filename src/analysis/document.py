"""Documents of headings, paragraphs, tables, pictures and commands, as Markdown or one self-contained HTML page."""

import base64
import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hydra.core.hydra_config import HydraConfig

from src.errors import require
from src.files import write_atomically, write_text
from src.formatting import first_three, format_markdown, format_table
from src.run_dir import relative

if TYPE_CHECKING:  # sweeps print tables without importing Matplotlib
    from matplotlib.figure import Figure

CSS = """
:root { color-scheme: light dark; --text: #1b1b1b; --soft: #555; --line: #d9d9d9; --page: #fff; --code: #f4f4f2 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --soft: #a8a8a8; --line: #444; --page: #161616; --code: #242424 }
}
* { box-sizing: border-box }
body { font: 17px/1.6 Charter, "Bitstream Charter", Georgia, serif; color: var(--text); background: var(--page);
  max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem }
h1, h2 { line-height: 1.2; font-weight: 600; overflow-wrap: anywhere }
h1 { font-size: 2rem; margin: 0 0 1rem }
h2 { font-size: 1.35rem; margin: 3rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line) }
p { max-width: 44rem } p, td, th, figcaption { overflow-wrap: break-word }
table { border-collapse: collapse; font: 14px/1.4 system-ui, sans-serif }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; text-align: left }
th { border-bottom: 2px solid var(--soft) }
.right { text-align: right; font-variant-numeric: tabular-nums } .short { white-space: nowrap }
figure { margin: 1.5rem 0 } figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px }
figcaption { color: var(--soft); font-size: .9rem }
pre { background: var(--code); padding: .7rem 1rem; font-size: 13px; line-height: 1.45; border-radius: 4px }
.wide, pre { overflow-x: auto; margin: 1.2rem 0 }
@media print {
  :root { --text: #000; --soft: #444; --line: #bbb; --page: #fff; --code: #f4f4f2 }
  body { font-size: 10.5pt; max-width: none; padding: 0 } table { font-size: 8.5pt }
  pre { white-space: pre-wrap } figure, table, pre { break-inside: avoid } h2 { break-after: avoid }
}
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
        self.figure.savefig(buffer, dpi=130, format="png")
        return buffer.getvalue()


@dataclass(frozen=True)
class PictureFile:
    """A picture that a run has drawn."""

    name: str
    caption: str
    path: Path

    @cached_property
    def png(self) -> bytes:
        return self.path.read_bytes()


class Commands(NamedTuple):
    lines: Sequence[str]


Block = str | Heading | Table | Picture | PictureFile | Commands  # a string is a paragraph


def to_markdown(blocks: Sequence[Block]) -> str:
    """One Markdown text; it refers to the files that `save_pictures` writes."""
    return "\n\n".join(_render(block)[0] for block in blocks) + "\n"


def to_html(blocks: Sequence[Block], title: str) -> str:
    """One page that contains its pictures."""
    body = "\n".join(_render(block)[1] for block in blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
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
        f"{folder} is not empty and holds no {page} ({first_three(present)}); choose a new folder with hydra.run.dir",
    )
    try:
        yield folder
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def save_document(blocks: Sequence[Block], folder: Path, name: str, title: str) -> None:
    """Writes <name>.md with its pictures as PNG and PDF, and <name>.html, which contains them."""
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
    """Writes each picture to `folder`, as <name>.png and, for print, as <name>.pdf."""
    for block in blocks:
        if isinstance(block, Picture | PictureFile):
            write_atomically(folder / f"{block.name}.png", lambda file, png=block.png: file.write(png))
        if isinstance(block, Picture):
            write_atomically(folder / f"{block.name}.pdf", partial(block.figure.savefig, format="pdf"))


def _render(block: Block) -> tuple[str, str]:
    """The block as Markdown and as HTML."""
    match block:
        case str(text):
            return text, f"<p>{_escape(text)}</p>"
        case Heading(text, level):
            return f"{'#' * level} {text}", f"<h{level}>{escape(text)}</h{level}>"
        case Table(header, rows, align):
            lines = "\n".join([_html_row("th", header, align), *(_html_row("td", row, align) for row in rows)])
            return format_markdown(*block), f'<div class="wide"><table>\n{lines}\n</table></div>'
        case Picture(name, caption) | PictureFile(name, caption):
            text, data = _escape(caption), base64.b64encode(block.png).decode()
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
        cells.append(f'<{tag} class="{kind}">{_escape(cell)}</{tag}>')
    return f"<tr>{''.join(cells)}</tr>"


def _escape(text: str) -> str:
    """For HTML; a number and its % stay on one line."""
    return escape(text).replace(" %", "&nbsp;%")
