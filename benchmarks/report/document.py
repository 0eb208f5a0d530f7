"""What the page of all results is made of, whatever it is written as.

Texts and the cells of tables may hold `**bold**`, `` `code` `` and `[words](address)`. The address
of a whole page is that of its file, `tables/NAME.md`, that of a section `#name`.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from benchmarks.page import Table


class Figure(NamedTuple):
    """A figure: its file's name in results/figures, and what it shows."""

    file: str
    title: str


Block = str | list[str] | Table | Figure
"""A paragraph, a list of points, a table or a figure."""


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

    Attributes:
        name: what links to it name. commands: that made what it shows.
    """

    title: str
    name: str
    blocks: Sequence[Block]
    commands: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Document:
    """The page.

    Attributes:
        opening: before the first heading.
        pages: every whole page. In Markdown they are files of their own, in HTML they come last.
    """

    title: str
    opening: Sequence[Block]
    sections: Sequence[Section]
    pages: Sequence[Section]


def link(page: str, words: str = "table") -> str:
    """A link to a whole page."""
    return f"[{words}](tables/{page}.md)"


def whole_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """With images a class that some rows have none of."""
    return frame.astype({"ipc": "Int64"}) if len(frame) else frame
