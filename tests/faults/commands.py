"""The commands that are broken off, at sizes of seconds."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from distill.synthetic import SyntheticSet

from conftest import ROOT, eventually, of_session, started

SIGNALS = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}
"""How a command ends that gets one."""
MOST = 120.0
"""Seconds after which a command that does not end counts as hanging."""
SCRIPT = Path(__file__).with_name("interrupted.py")

SHORT = "--method.networks 3 --method.real-batch 20 --method.network convnet-d2-w8"


@dataclasses.dataclass(frozen=True)
class Command:
    """A command as it is typed, but for where its results go."""

    module: str
    args: str

    def line(self, out: Path, *, where: str = "-") -> list[str]:
        """With its results below the folder `out`."""
        target = out / "set.safetensors" if self.module == "distill" else out
        args = [*self.args.split(), "--out", str(target)]
        return [sys.executable, str(SCRIPT), str(_counter(out)), where, self.module, *args]

    def results(self, out: Path) -> object:
        """What must be equal, bit for bit, however often the command was broken off."""
        if self.module == "distill":
            return SyntheticSet.load(out / "set.safetensors").digest()
        (path,) = (out / "records").glob("*.json")
        record = json.loads(path.read_text())
        results = {**record["results"]}
        results.pop("seconds", None)
        return results, [one["digest"] for one in record["sets"]]


COMMANDS = {
    "distill": Command("distill", f"--ipc 2 --method.iterations 1500 {SHORT}"),
    "continual": Command(
        "benchmarks.continual",
        "--buffer dm --orders 2 --sets 2 --steps 3 --epochs 60 --workers 1 "
        f"--method.iterations 100 {SHORT}",
    ),
    "classification": Command(
        "benchmarks.classification",
        "--method dm --sets 2 --networks 2 --network convnet-d2-w8 --epochs 300 --workers 1 "
        f"--method.iterations 300 {SHORT}",
    ),
    "classification, two processes": Command(
        "benchmarks.classification",
        "--method dm --sets 2 --networks 2 --network convnet-d2-w8 --epochs 300 --workers 2 "
        f"--method.iterations 300 {SHORT}",
    ),
    "nas": Command("benchmarks.nas", "--proxy random --networks 6 --epochs 20 --workers 1"),
}


def run(line: list[str]) -> tuple[int, str]:
    """The exit code of a command, and what it said on stderr."""
    with start(line) as process:
        _, said = process.communicate(timeout=MOST)
    return process.returncode, said


def start(line: list[str]) -> subprocess.Popen:
    """As `conftest.started`, with this very code."""
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return started(line, env=surroundings, stdout=subprocess.DEVNULL)


def broken_off(line: list[str], name: str, after: float) -> tuple[int, str]:
    """As `run`, of a command that gets the signal `name` so many seconds after its first line."""
    counter = Path(line[2])
    with start(line) as process:
        while process.poll() is None and not counter.exists():
            time.sleep(0.01)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=MOST)
    assert eventually(lambda: not of_session(process.pid), 5), "it left a process"
    return process.returncode, said


@dataclasses.dataclass
class Tally:
    """Of one command and one fault.

    Attributes:
        tried: faults that met the command before its end. steps: of the unbroken run.
        repeated: steps done more than once, of all tries. lost: finished results lost.
    """

    tried: int = 0
    steps: int = 0
    repeated: int = 0
    lost: int = 0


def finished(out: Path) -> dict[Path, int]:
    """Finished pieces of work in that folder, and when each was written."""
    pieces = [*out.glob("sets/*.safetensors"), *out.glob("work/*.json")]
    whole = [path for path in pieces if "-state-" not in path.name]
    return {path: path.stat().st_mtime_ns for path in whole}


def lost(before: dict[Path, int], after: dict[Path, int]) -> int:
    """How many finished pieces vanished or were made again."""
    return sum(after.get(path) != when for path, when in before.items())


def steps(out: Path) -> int:
    """Done by all runs with that folder."""
    return _counter(out).stat().st_size if _counter(out).exists() else 0


def _counter(out: Path) -> Path:
    return out.with_suffix(".steps")


def moments(seed: str, seconds: float) -> float:
    """A random moment within a run of so many seconds."""
    return random.Random(seed).uniform(0.05, 1.0) * seconds


def timed(line: list[str]) -> float:
    """Seconds that a command takes.

    Raises:
        AssertionError: it fails.
    """
    began = time.monotonic()
    code, said = run(line)
    assert code == 0, said
    return time.monotonic() - began
