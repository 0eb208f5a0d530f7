"""The commands that are broken off, at sizes of seconds."""

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from distill.synthetic import SyntheticSet

from conftest import ROOT, eventually, of_session, started

SIGNALS = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}
"""How a command ends that gets one."""
MOST = 600.0
"""Seconds after which a command that does not end hangs; it may have little of a core."""
SCRIPT = Path(__file__).with_name("interrupted.py")


@dataclasses.dataclass(frozen=True)
class Command:
    """A command as it is typed, but for where its results go.

    Attributes:
        tries: how often each signal meets it. flight: the most that a fault may cost, as a part of
            its steps: what is learned between two checkpoints, or the trainings in hand.
    """

    module: str
    args: str
    tries: int
    flight: float

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


SMALL = "--method.networks 3 --method.real-batch 20 --method.network convnet-d2-w8"
CLASSIFICATION = (
    "--method dm --sets 2 --networks 2 --network convnet-d2-w8 --epochs 100 "
    f"--method.iterations 240 {SMALL}"
)
COMMANDS = {
    "distill": Command("distill", f"--ipc 2 --method.iterations 800 {SMALL}", 9, 0.25),
    "continual": Command(
        "benchmarks.continual",
        "--buffer dm --orders 2 --sets 2 --steps 3 --epochs 30 --workers 1 "
        f"--method.iterations 150 {SMALL}",
        4,
        0.25,
    ),
    "classification": Command(
        "benchmarks.classification", f"{CLASSIFICATION} --workers 1", 4, 0.25
    ),
    "classification, two processes": Command(
        "benchmarks.classification", f"{CLASSIFICATION} --workers 2", 4, 0.5
    ),
    "nas": Command(
        "benchmarks.nas", "--proxy random --networks 6 --epochs 20 --workers 1", 4, 0.25
    ),
}


@dataclasses.dataclass(frozen=True)
class Whole:
    """A command that nothing broke off.

    Attributes:
        steps: that it did.
        beginning, end: core seconds before its first and after its last step.
    """

    results: object
    steps: int
    beginning: float
    end: float

    @classmethod
    def of(cls, command: Command, out: Path) -> "Whole":
        """What it gives, into the empty folder `out`.

        Raises:
            AssertionError: it fails.
        """
        count, first, last, now = 0, 0.0, 0.0, 0.0
        with start(command.line(out)) as process:
            clock = CoreSeconds(process)
            while (read := clock.read()) < float("inf"):
                now = read
                if steps(out) > count:
                    first, count, last = first or now, steps(out), now
                time.sleep(0.01)
            _, said = process.communicate()
        assert process.returncode == 0, said
        return cls(command.results(out), steps(out), first, now - last)


class Moment(NamedTuple):
    """When a signal comes: after so many steps, of all runs together, and then core seconds.

    Seconds by the clock would say little of how far a command is, on a machine that does more.
    """

    steps: int
    seconds: float


def moments(seed: str, count: int, whole: Whole) -> Iterator[Moment]:
    """Random ones: before the first step, amid the steps, and after the last."""
    chance = random.Random(seed)
    yield Moment(0, chance.uniform(0, whole.beginning))
    for part in sorted(chance.uniform(0, 0.9) for _ in range(count - 2)):
        yield Moment(1 + int(part * whole.steps), chance.uniform(0, 0.1))
    yield Moment(whole.steps, chance.uniform(0, 0.5) * whole.end)


def run(line: list[str]) -> tuple[int, str]:
    """The exit code of a command, and what it said on stderr."""
    with start(line) as process:
        _, said = process.communicate(timeout=MOST)
    return process.returncode, said


def start(line: list[str]) -> subprocess.Popen:
    """As `conftest.started`, with this very code."""
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return started(line, env=surroundings, stdout=subprocess.DEVNULL)


def broken_off(line: list[str], name: str, moment: Moment) -> tuple[int, str]:
    """As `run`, of a command that gets the signal `name` at that moment, if it still runs."""
    counter = Path(line[2])
    before = _touched(counter)
    with start(line) as process:

        def come() -> bool:
            begun = _touched(counter) != before
            return process.poll() is not None or begun and counter.stat().st_size >= moment.steps

        assert eventually(come, MOST), "it hangs"
        clock = CoreSeconds(process)
        until = moment.seconds + (clock.read() if moment.steps else 0.0)
        assert eventually(lambda: clock.read() >= until, MOST), "it hangs"
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=MOST)
    assert eventually(lambda: not of_session(process.pid), 20), "it left a process"
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


class Tries:
    """Runs of one command in one folder, each of which meets a fault, and a last one.

    Attributes:
        faults: so many it has met. lost: finished pieces that vanished or were made again.
    """

    def __init__(self, command: Command, folder: Path) -> None:
        self.command, self.out = command, folder / "out"
        self.out.mkdir()
        self.faults, self.lost = 0, 0

    def broken_off(self, name: str, moment: Moment) -> tuple[int, str]:
        """As the function of that name."""
        return self._one(lambda: broken_off(self.command.line(self.out), name, moment))

    def run(self, where: str = "-") -> tuple[int, str]:
        """As the function of that name, with a fault in a write or none."""
        return self._one(lambda: run(self.command.line(self.out, where=where)))

    def _one(self, run: Callable[[], tuple[int, str]]) -> tuple[int, str]:
        before = finished(self.out)
        code, said = run()
        after = finished(self.out)
        self.lost += sum(after.get(piece) != when for piece, when in before.items())
        self.faults += code != 0
        assert "Traceback" not in said and self.lost == 0, said
        assert not [*self.out.rglob("*.damaged")], "a fault damaged a file"
        return code, said

    def gone_on(self, whole: Whole) -> Tally:
        """The same command once more ends with the same results; what all this cost."""
        code, said = self.run()
        assert code == 0, said
        assert self.command.results(self.out) == whole.results
        assert temporary(self.out) == []
        repeated = steps(self.out) - whole.steps
        most = self.faults * self.command.flight * whole.steps
        assert 0 <= repeated <= most, (repeated, whole.steps)
        return Tally(self.faults, whole.steps, repeated, self.lost)


def finished(out: Path) -> dict[object, int]:
    """Finished pieces of work in that folder, and when each was written; a trial is a line."""
    pieces = [*out.glob("*.safetensors"), *out.glob("sets/*.safetensors"), *out.glob("work/*.json")]
    whole = {path: path.stat().st_mtime_ns for path in pieces if "-state-" not in path.name}
    trials = [
        line
        for path in out.glob("trials/*.jsonl")
        for line in path.read_text().splitlines(keepends=True)
        if line.endswith("\n")
    ]
    return whole | dict.fromkeys(trials, 0)


def temporary(out: Path) -> list[Path]:
    """Files that a write began."""
    return [path for path in out.rglob(".*") if path.is_file()]


def steps(out: Path) -> int:
    """Done by all runs with that folder."""
    return _counter(out).stat().st_size if _counter(out).exists() else 0


def _counter(out: Path) -> Path:
    return out.with_suffix(".steps")


class CoreSeconds:
    """Of a process and all that work for it, also those that have ended by now."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process, self.seen = process, {}

    def read(self) -> float:
        """So far; endless when the process has ended."""
        if self.process.poll() is not None:
            return float("inf")
        for pid in of_session(self.process.pid):
            with contextlib.suppress(psutil.Error):  # it ends just now
                times = psutil.Process(pid).cpu_times()
                self.seen[pid] = times.user + times.system
        return sum(self.seen.values())


def _touched(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
