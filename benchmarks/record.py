"""A record: the facts of one run, one JSON file, written when the run ends."""

import dataclasses
import datetime
import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from distill.files import write_atomically
from distill.mistake import Mistake

RESULTS = Path(__file__).parent.parent / "results"
"""The committed results, when the suite is used from its repository."""

LIBRARIES = (
    "torch",
    "torchvision",
    "avalanche-lib",
    "nni",
    "numpy",
    "safetensors",
    "scikit-learn",
)
VERSION = 1
"""Of the protocol and of the record's form: raise it when either changes its meaning."""


@dataclasses.dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        kind: the benchmark, e.g. `continual`.
        protocol: what runs must share for their figures to stand in one table.
        cell: what sets this run apart within the protocol: the method, its configuration, the seed.
        metrics: what was measured, with the raw values behind each mean.
        cost: seconds by stage, peak memory in MB, images and bytes stored.
        provenance: command, commit, versions, hardware, date.
    """

    kind: str
    protocol: dict[str, Any]
    cell: dict[str, Any]
    metrics: dict[str, Any]
    cost: dict[str, Any]
    provenance: dict[str, Any]
    version: int = VERSION

    @property
    def protocol_key(self) -> str:
        """Equal for records that may stand in one table."""
        return _key([self.kind, self.version, self.protocol])

    @property
    def name(self) -> str:
        """The file name: the same run gets the same name."""
        if self.kind == "cost":
            parts = [self.kind, self.protocol["part"]]
        else:
            parts = [self.kind, self.protocol["dataset"], self.cell["method"]]
            parts += [] if self.cell["ipc"] is None else [f"ipc{self.cell['ipc']}"]
        parts += [self.protocol["strategy"]] if "strategy" in self.protocol else []
        return "-".join([*parts, _key([self.protocol, self.cell])]) + ".json"

    def write(self, folder: Path) -> Path:
        """Write the record into `folder`, whole or not at all, and return its path.

        Raises:
            Mistake: the folder cannot be written to.
        """
        path = folder / self.name
        text = json.dumps(dataclasses.asdict(self), indent=1)
        # Lists of plain values on one line each, so that a record can be read.
        text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
        write_atomically(path, (text + "\n").encode())
        return path


def read(folders: Sequence[Path]) -> list[Record]:
    """All records in the folders, sorted by file name; a later folder's replace an earlier's.

    Raises:
        Mistake: a file there is no record.
    """
    paths = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    found = {path.name: read_one(path) for path in paths}
    return [found[name] for name in sorted(found)]


def read_one(path: Path) -> Record:
    """The record in a file.

    Raises:
        Mistake: no such file, or no record.
    """
    try:
        return Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise Mistake(f"{path} is not a record ({error}); remove it") from error


def _key(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def provenance(module: str, args: Sequence[str], device: Any) -> dict[str, Any]:
    """How to make the run again: the command, the code, the libraries, the machine."""
    return {
        "command": shlex.join(["python", "-m", module, *args]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **_code(),
        "python": platform.python_version(),
        "versions": {name: _installed(name) for name in LIBRARIES},
        "hardware": _hardware(device),
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _code() -> dict[str, Any]:
    """The commit the code was at, and whether the code had been changed since."""
    here = Path(__file__).parent.parent
    code = ["distill", "downstream", "benchmarks"]

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(["git", *args], cwd=here, capture_output=True, text=True)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changes = git("status", "--porcelain", "--", *code)
    return {
        "commit": git("rev-parse", "HEAD"),
        "clean": None if changes is None else not changes,
    }


def _hardware(device: Any) -> dict[str, Any]:
    import torch

    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(
            (x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")),
            cpu,
        )
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    threads = torch.get_num_threads()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": threads,
        "device": str(device),
        "gpu": gpu,
    }


class Stopwatch:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to `stage`."""
        now = time.monotonic()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self._last, 2)
        self._last = now


def peak_memory(device: Any) -> dict[str, float]:
    """The most memory that this process has held, in MB: resident, and of the GPU if used."""
    import resource

    import torch

    unit = 1 if sys.platform == "darwin" else 1024
    memory = {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2**20}
    if device.type == "cuda":
        memory["gpu_mb"] = torch.cuda.max_memory_allocated(device) // 2**20
    return memory
