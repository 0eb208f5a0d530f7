"""Every table and figure of results/, as functions of the records.

python -m benchmarks.tables            regenerate
python -m benchmarks.tables --check    fail where a committed one is stale
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import sys
from pathlib import Path

from benchmarks.record import RESULTS
from distill.runtime.flags import cli
from distill.runtime.mistake import Mistake, one_line


@dataclasses.dataclass(frozen=True)
class Tables:
    """Regenerate the tables and figures in results/ from results/records and reported.csv."""

    check: bool = False
    """Write nothing; exit with 1 and name what is stale."""
    results: Path = RESULTS
    """The folder with records/, tables/, figures/ and reported.csv."""


def main(command: Tables) -> int:
    """Regenerate or check; the exit code."""
    from benchmarks.contents import Contents

    if not (command.results / "reported.csv").is_file():
        raise Mistake(f"no reported.csv in {command.results}; --results takes the results folder")
    contents = Contents(command.results)
    for line in contents.expired:
        print(line, file=sys.stderr)
    if contents.uncommitted:
        first, *others = contents.uncommitted
        more = f" and {len(others)} more" if others else ""
        print(
            f"left out, since made from uncommitted code: {first}{more}; commit the code and run "
            "the command of each again",
            file=sys.stderr,
        )
    if command.check:
        stale = contents.stale()
        for path in stale:
            print(f"stale: {path}; run python -m benchmarks.tables", file=sys.stderr)
        if contents.republished():
            print(
                f"changed: {contents.published} is not what the pages were made with; restore it, "
                "or run python -m benchmarks.tables if the change is yours",
                file=sys.stderr,
            )
        if stale or contents.republished() or contents.expired:
            return 1
        print(f"{len(contents.named)} pages of {contents.records} records: none is stale")
        return 0
    for path in contents.regenerate():
        print(path)
    return 0


if __name__ == "__main__":
    with one_line():
        sys.exit(main(cli(Tables, sys.argv[1:], prog="python -m benchmarks.tables")))
