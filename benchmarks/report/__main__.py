"""All results as one HTML page that loads nothing: what results/README.md shows, and all pages.

python -m benchmarks.report --out report.html
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import sys
from pathlib import Path

from benchmarks.record import RESULTS
from distill.runtime.files import require_file, require_writable, write_atomically
from distill.runtime.flags import cli
from distill.runtime.mistake import Mistake, one_line

PROG = "python -m benchmarks.report"


@dataclasses.dataclass(frozen=True)
class Report:
    """Write all results as one HTML page, with tables that can be sorted and searched."""

    out: Path = Path("report.html")
    """The file."""
    results: Path = RESULTS
    """The folder with records/, figures/ and reported.csv."""


def main(command: Report) -> None:
    """Write the page and say where it is.

    Raises:
        Mistake: there are no results, one of them is damaged, a figure is missing, or `out` cannot
            be written.
    """
    if not (command.results / "reported.csv").is_file():
        raise Mistake(f"no reported.csv in {command.results}; --results takes the results folder")
    require_file(command.out, (".html", ".htm"), what="a page")
    require_writable(command.out.parent)

    from benchmarks.contents import Contents
    from benchmarks.report import html

    def image(name: str) -> bytes:
        path = command.results / name
        if not path.is_file():
            raise Mistake(f"{path} is missing; run python -m benchmarks.tables first")
        return path.read_bytes()

    contents = Contents(command.results)
    for line in contents.expired:
        print(line, file=sys.stderr)
    write_atomically(command.out, html.text(contents.document, image).encode())
    print(command.out)


if __name__ == "__main__":
    with one_line():
        main(cli(Report, sys.argv[1:], prog=PROG))
