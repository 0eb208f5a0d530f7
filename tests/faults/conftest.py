"""What was tried and what it cost, as the table of docs/reliability.md.

RELIABILITY=docs/reliability.md tox -e faults

writes it there; without that it is printed alone.
"""

import dataclasses
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from faults.commands import SIGNALS, Tally

BEGIN, END = "<!-- faults -->", "<!-- end -->"
TALLIES = "TALLIES_OF_FAULTS"
"""Names the file to which the processes of a test run add their tallies, a line each."""


class Tallies:
    """By command and fault."""

    def add(self, name, fault, more):
        """Count some more."""
        if TALLIES not in os.environ:  # a sample, run with the other tests
            return
        with open(os.environ[TALLIES], "a") as file:
            file.write(json.dumps([name, fault, dataclasses.asdict(more)]) + "\n")


@pytest.fixture(scope="session")
def tally():
    return Tallies()


def pytest_configure(config):
    """The first process names the file, and the others inherit its name."""
    if not hasattr(config, "workerinput"):
        os.environ[TALLIES] = str(Path(tempfile.mkdtemp()) / "tallies.jsonl")


def pytest_terminal_summary(terminalreporter):
    """Show the table."""
    path = Path(os.environ.get(TALLIES, "/nowhere"))
    if not path.exists():
        return
    table = as_table([json.loads(line) for line in path.read_text().splitlines()])
    terminalreporter.write_line(table)
    if os.environ.get("RELIABILITY"):
        page = Path(os.environ["RELIABILITY"])
        before, _, after = page.read_text().partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after.partition(END)[2]}")


def as_table(lines):
    """Markdown, of all lines."""
    sums = defaultdict(Tally)
    for name, fault, more in lines:
        total = sums[name, fault]
        for field, count in more.items():
            setattr(total, field, getattr(total, field) + count)
    moments = sum(total.tried for (_, fault), total in sums.items() if fault in SIGNALS)
    rows = ["| command | fault | tried | finished pieces lost | steps repeated |"]
    rows.append("|---|---|--:|--:|--:|")
    for (name, fault), total in sorted(sums.items()):
        share = 100 * total.repeated / total.steps if total.steps else 0
        rows.append(f"| {name} | {fault} | {total.tried} | {total.lost} | {share:.0f} % |")
    rows += ["", f"Signals at {moments} random moments in all."]
    return "\n".join(rows)
