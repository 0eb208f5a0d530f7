"""Where a record comes from and what it took: command, code, libraries, machine, time, memory."""

import datetime
import os
import platform
import resource
import shlex
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.schema import Hardware, Provenance, Spent
from distill.runtime import origin

LIBRARIES = ("torch", "torchvision", "avalanche-lib", "nni", "numpy", "safetensors", "scikit-learn")


def provenance(module: str, args: Sequence[str], device: torch.device) -> Provenance:
    """Of a run that is about to begin."""
    ours = origin.ours()
    return Provenance(
        command=shlex.join(["python", "-m", module, *args]),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=ours.commit,
        clean=ours.committed,
        python=platform.python_version(),
        versions={name: _installed(name) for name in LIBRARIES},
        hardware=_hardware(device),
    )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _hardware(device: torch.device) -> Hardware:
    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        cpu = next(named, cpu)
    return Hardware(
        cpu=cpu,
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        device=str(device),
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    )


class Stopwatch:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str, earlier: float = 0.0) -> None:
        """Add to `stage` the time since the last lap, and what earlier runs had spent on it."""
        now = time.monotonic()
        spent = now - self._last + earlier
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + spent, 2)
        self._last = now


def cost(seconds: dict[str, float], device: torch.device) -> Spent:
    """Seconds by stage, and the most memory that this process or one of its children has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peak = max(resource.getrusage(one).ru_maxrss for one in who) * unit // 2**20
    gpu = torch.cuda.max_memory_allocated(device) // 2**20 if device.type == "cuda" else None
    return Spent(seconds=seconds, peak_mb=peak, gpu_mb=gpu)
