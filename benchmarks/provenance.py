"""Where a record comes from and what it took: command, code, libraries, machine, time, memory."""

import datetime
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.schema import Cost, Hardware, Provenance

PACKAGES = ("distill", "downstream", "benchmarks")
LIBRARIES = ("torch", "torchvision", "avalanche-lib", "nni", "numpy", "safetensors", "scikit-learn")


def provenance(module: str, args: Sequence[str], device: torch.device) -> Provenance:
    """Of a run that is about to begin."""
    commit, clean = _code()
    return Provenance(
        command=shlex.join(["python", "-m", module, *args]),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=commit,
        clean=clean,
        python=platform.python_version(),
        versions={name: _installed(name) for name in LIBRARIES},
        hardware=_hardware(device),
    )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _code() -> tuple[str | None, bool | None]:
    """The commit of this project's own repository, and whether the code is as committed."""
    here = Path(__file__).resolve().parent.parent
    # In a hook of another repository these would name that one.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *args], cwd=here, env=ours, capture_output=True, text=True
            )
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    top = git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != here:
        return None, None  # installed, or inside another project's repository
    changes = git("status", "--porcelain", "--untracked-files=no", "--", *PACKAGES)
    # Also files that git is told to ignore: Python does not.
    strangers = git("ls-files", "--others", "--", *(f"{package}/*.py" for package in PACKAGES))
    return git("rev-parse", "HEAD"), changes == "" and strangers == ""


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


def cost(seconds: dict[str, float], device: torch.device) -> Cost:
    """Seconds by stage, and the most memory that this process or one of its children has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peak = max(resource.getrusage(one).ru_maxrss for one in who) * unit // 2**20
    gpu = torch.cuda.max_memory_allocated(device) // 2**20 if device.type == "cuda" else None
    return Cost(seconds=seconds, peak_mb=peak, gpu_mb=gpu)
