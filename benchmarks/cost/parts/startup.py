"""How long a command takes to say something."""

import statistics
import subprocess
import sys

from benchmarks.cost.clock import Way, take_turns, timed
from benchmarks.cost.settings import Timing
from distill.runtime import registry

TITLE = "Start-up"
NOTE = """\
Milliseconds of a fresh Python, the median of the turns. The engine: distill.objectives.matching and
distill.training.train.
"""
COMMANDS = (
    "distill",
    *(f"benchmarks.{kind}" for kind in registry.names("benchmarks", folders=True)),
    "benchmarks.tables",
)
STARTS = {
    "import torch": ["-c", "import torch"],
    "import the engine": ["-c", "import distill.objectives.matching, distill.training.train"],
    **{f"python -m {name} --help": ["-m", name, "--help"] for name in COMMANDS},
}
"""Arguments of a fresh interpreter."""


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a command."""
    times = take_turns([python(args) for args in STARTS.values()], settings.turns)
    return [
        {"start": name, "ms": round(1000 * statistics.median(own))}
        for name, own in zip(STARTS, times, strict=True)
    ]


def python(args: list[str]) -> Way:
    """A fresh interpreter with `args`."""
    command = [sys.executable, *args]
    return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
