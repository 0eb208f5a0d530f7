"""The page of all results as one HTML file that loads nothing."""

import base64
import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.page import Table
from benchmarks.report.document import Block, Document, Figure, Section

TEMPLATE = Path(__file__).with_name("page.html")
FEWEST = 8
"""Rows of a table that can be searched."""
WHOLE = ("whole", "Whole pages")
"""The last section: its name and its title."""
EMPTY = "–"
"""What stands in a cell that holds nothing."""
NUMBER = rf"[+\u2212-]?[0-9][0-9.,]*|{EMPTY}"
"""A cell that is set to the right, if all of its column are."""


def text(document: Document, image: Callable[[str], bytes]) -> str:
    """The whole file.

    Args:
        image: the PNG of a figure, by its file in the results folder.
    """
    shown: set[str] = set()

    def figure(own: Figure) -> str:
        """With its image where it comes first, with a link to that elsewhere."""
        title = _inline(own.title)
        if own.file in shown:
            return f'<p><a href="#{own.file}">Figure: {title}</a></p>'
        shown.add(own.file)
        data = base64.b64encode(image(own.file)).decode()
        source = f"data:image/png;base64,{data}"
        return f'<div class="scroll"><img id="{own.file}" src="{source}" alt="{title}"></div>'

    def block(own: Block) -> str:
        if isinstance(own, Section):
            return folded(own)
        return figure(own) if isinstance(own, Figure) else _block(own)

    def section(own: Section) -> str:
        head = f'<section id="{own.name}"><h2>{_inline(own.title)}</h2>'
        return "\n".join([head, *map(block, own.blocks), "</section>"])

    def folded(own: Section) -> str:
        head = f'<details class="part" id="{own.name}"><summary>{_inline(own.title)}</summary>'
        return "\n".join([head, *map(block, own.blocks), _made(own), "</details>"])

    named = [*((s.name, s.name.capitalize()) for s in document.sections), WHOLE]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in named)
    content = [
        *map(section, document.sections),
        f'<section id="{WHOLE[0]}"><h2>{WHOLE[1]}</h2>',
        *map(folded, document.pages),
        "</section>",
    ]
    parts = {"title": _inline(document.title), "links": links, "content": "\n".join(content)}
    return re.sub(r"<!-- (\w+) -->", lambda place: parts[place[1]], TEMPLATE.read_text("utf-8"))


def _block(block: str | list[str] | Table) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, list):
        return f"<ul>{''.join(f'<li>{_inline(point)}</li>' for point in block)}</ul>"
    return f"<p>{_inline(block)}</p>"


def _made(section: Section) -> str:
    commands = html.escape("\n".join(section.commands))
    made = f'<details class="made"><summary>Made with</summary><pre>{commands}</pre></details>'
    return made if commands else ""


def _table(table: Table) -> str:
    """A table that scrolls within itself; columns of numbers are set to the right."""
    frame = table.frame
    if not len(frame):
        return ""
    cells = frame.astype(object).map(_cell)
    numeric = [
        cells[c].str.fullmatch(NUMBER).all() and (cells[c] != EMPTY).any() for c in cells.columns
    ]

    def row(values: Sequence[str], tag: str) -> str:
        kinds = (' class="n"' if number else "" for number in numeric)
        own = (f"<{tag}{k}>{v}</{tag}>" for v, k in zip(values, kinds, strict=True))
        return f"<tr>{''.join(own)}</tr>"

    caption = f'<p class="caption">{_inline(table.caption)}</p>' if table.caption else ""
    searched = " data-searched" if len(frame) >= FEWEST else ""
    body = "\n".join(row(values, "td") for values in cells.values.tolist())
    head = row([_inline(str(column)) for column in frame.columns], "th")
    return (
        f'<div class="table"{searched}>{caption}<div class="scroll" tabindex="0"><table>'
        f"<thead>{head}</thead><tbody>\n{body}\n</tbody></table></div></div>"
    )


def _cell(value: object) -> str:
    if pd.isna(value):
        return EMPTY
    return _inline(f"{value:.1f}" if isinstance(value, float) else str(value))


def _inline(words: str) -> str:
    """Escaped, with what a document's texts may hold; other addresses than our own are left out."""
    words = html.escape(words)
    words = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", words)
    words = re.sub(r"`(.+?)`", r"<code>\1</code>", words)
    return re.sub(r"\[([^][]+)\]\((?:tables/|#)([^)]+?)(?:\.md)?\)", r'<a href="#\2">\1</a>', words)
