"""What the page of all results is made of, whatever it is written as.

Texts and the cells of tables may hold `**bold**`, `` `code` `` and `[words](address)`. The address
of a whole page or a long part is that of its file, `tables/NAME.md`, that of a section `#name`.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from benchmarks.page import Table


class Figure(NamedTuple):
    """A figure: its file in the results folder, and what it shows."""

    file: str
    title: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

    One within another is long: in Markdown it is a file of its own, in HTML it is folded.

    Attributes:
        name: what links to it name. commands: that made what it shows.
    """

    title: str
    name: str
    blocks: Sequence["Block"]
    commands: Sequence[str] = ()


Block = str | list[str] | Table | Figure | Section
"""A paragraph, a list of points, a table, a figure or a long part."""


@dataclasses.dataclass(frozen=True)
class Document:
    """The page.

    Attributes:
        pages: every whole page. In Markdown they are files of their own, in HTML they come last,
            folded.
    """

    title: str
    sections: Sequence[Section]
    pages: Sequence[Section]


def long_parts(document: Document) -> list[Section]:
    """The sections within sections."""
    blocks = (block for section in document.sections for block in section.blocks)
    return [block for block in blocks if isinstance(block, Section)]


def link(page: str, words: str = "table") -> str:
    """A link to a whole page."""
    return f"[{words}](tables/{page}.md)"


def whole_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """With images a class, and sets, that some rows have none of."""
    return frame.astype({name: "Int64" for name in ("ipc", "sets") if name in frame})
