"""The page of all results in Markdown, as a forge shows it from the results folder."""

from collections.abc import Sequence

from benchmarks.page import Table, in_words
from benchmarks.report.document import Block, Document, Figure


def text(document: Document) -> str:
    """The whole file; whole pages are files of their own."""
    parts = [f"# {document.title}\n", *map(_block, document.opening)]
    parts.append(" · ".join(f"[{s.name}](#{s.name})" for s in document.sections) + "\n")
    for section in document.sections:
        parts.append(f'<a id="{section.name}"></a>\n\n## {section.title}\n')
        parts += map(_block, section.blocks)
    return "\n".join(part for part in parts if part)


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return in_words([block]) if len(block.frame) else ""
    if isinstance(block, Figure):
        return f"![{block.title}](figures/{block.file})\n"
    return _points(block) if isinstance(block, list) else f"{block}\n"


def _points(points: Sequence[str]) -> str:
    return "".join(f"- {point}\n" for point in points)
