"""How long a command takes to say something."""

import statistics
import subprocess
import sys
from typing import Any

import torch

from benchmarks.costs.clock import Way, take_turns, timed

TITLE = "Start-up"
NOTE = """\
Seconds of a fresh Python, the median of the turns. The engine: distill.matching and distill.train.
"""
COMMANDS = (
    "distill",
    "benchmarks.continual",
    "benchmarks.classification",
    "benchmarks.nas",
    "benchmarks.cost",
    "benchmarks.tables",
)


def rows(turns: int, device: torch.device) -> list[dict[str, Any]]:
    """A row a command; `device` plays no part."""
    starts = {
        "import torch": ["-c", "import torch"],
        "import the engine": ["-c", "import distill.matching, distill.train"],
    }
    starts |= {f"python -m {name} --help": ["-m", name, "--help"] for name in COMMANDS}
    times = take_turns([python(args) for args in starts.values()], turns)
    return [
        {"start": name, "seconds": statistics.median(own)}
        for name, own in zip(starts, times, strict=True)
    ]


def python(args: list[str]) -> Way:
    """A fresh interpreter with `args`."""
    command = [sys.executable, *args]
    return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
