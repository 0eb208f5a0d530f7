"""The page of all results in Markdown, as a forge shows it from the results folder."""

import re
from collections.abc import Sequence

from benchmarks.page import Table, in_words
from benchmarks.report.document import Block, Document, Figure, Section, link, long_parts

INDEX = "README"
"""The list of all files in results/tables, which a forge shows with that folder."""


def text(document: Document) -> str:
    """The page itself; whole pages and long parts are files of their own."""
    parts = [f"# {document.title}\n"]
    parts.append(" · ".join(f"[{s.name}](#{s.name})" for s in document.sections) + "\n")
    for section in document.sections:
        parts.append(f'<a id="{section.name}"></a>\n\n## {section.title}\n')
        parts += map(_block, section.blocks)
    files = f"{len(document.pages)} pages of tables"
    parts.append(f"All {link(INDEX, files)}, each with the commands that made it.\n")
    return "\n".join(part for part in parts if part)


def files(document: Document) -> dict[str, str]:
    """The long parts and the list of all pages, by the name of their file in results/tables."""
    own = {part.name: part for part in long_parts(document)}
    listed = [f"{link(s.name, s.name)}: {s.title}" for s in (*document.pages, *own.values())]
    own[INDEX] = Section("All tables", INDEX, [listed])
    return {name: _file(part) for name, part in own.items()}


def _file(section: Section) -> str:
    """With links as they are from within results/tables."""
    parts = [f"# {section.title}\n", *map(_block, section.blocks), "[All results](#)\n"]
    words = "\n".join(part for part in parts if part).replace("](tables/", "](")
    return re.sub(r"\]\(#(\w*)\)", lambda m: f"](../README.md{'#' * bool(m[1])}{m[1]})", words)


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return in_words([block]) if len(block.frame) else ""
    if isinstance(block, Figure):
        return f"![{block.title}]({block.file})\n"
    if isinstance(block, Section):
        return f"{link(block.name, block.title)}\n"
    return _points(block) if isinstance(block, list) else f"{block}\n"


def _points(points: Sequence[str]) -> str:
    return "".join(f"- {point}\n" for point in points)
