"""Whole commands, from their start to the record."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cost.settings import Timing
from distill import choices, datasets
from distill.runtime import registry
from distill.runtime.compute import FLOAT32
from distill.runtime.mistake import Mistake, unknown

TITLE = "Whole cells, from the command to the record"
NOTE = """\
python -m benchmarks. and the command, each in a process of its own that has so many cores, with an
--out and a compiler's cache that are empty; the images had been downloaded. minutes: by the wall
clock, from the start of Python to its end. stages: seconds, as the record has them.
"""
ONCE = True


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a command, number of cores and precision; small images have float32 alone."""
    table = []
    for command in settings.commands or standard(settings):
        kind, *args = shlex.split(command)
        if kind not in registry.names("benchmarks", folders=True):
            raise unknown("kind of experiment", kind, registry.names("benchmarks", folders=True))
        small = _fetched(args, settings.data_root)
        for threads in settings.threads:
            for precision in (FLOAT32,) if small else settings.precisions:
                flags = ["--precision", precision, "--device", str(settings.device)]
                flags += ["--data-root", str(settings.data_root.resolve())]
                minutes, stages = measured(f"benchmarks.{kind}", [*args, *flags], threads)
                table.append(
                    {
                        "cell": command,
                        "precision": precision,
                        "cores": threads,
                        "minutes": round(minutes, 2),
                        "stages": stages,
                    }
                )
    return table


def standard(settings: Timing) -> list[str]:
    """The commands that are measured where none are given."""
    larger = settings.dataset or coloured()
    return [
        "continual --buffer datadam",
        f"continual --buffer random --dataset {larger}",
        f"continual --buffer datadam --dataset {larger}",
        f"classification --method datadam --dataset {larger} --sets 1",
    ]


def coloured() -> str:
    """The first dataset of 10 classes in colour, 32x32."""
    for name in registry.names("distill.datasets"):
        facts = registry.load("distill.datasets", name).ABOUT
        if facts.shape == (3, 32, 32) and len(facts.classes) == 10:
            return name
    raise Mistake("there is no dataset of 10 classes in colour, 32x32; give --dataset")


def _fetched(args: list[str], root: Path) -> bool:
    """Whether a command's images are small; they are there after this."""
    given = [args[n + 1] for n, flag in enumerate(args[:-1]) if flag == "--dataset"]
    name = given[-1] if given else choices.DEFAULT_DATASET
    facts = registry.load("distill.datasets", name).ABOUT
    if facts.shape is None:
        return False  # a folder of the user's own
    datasets.load(name, root=root)
    return facts.small


def measured(module: str, args: list[str], threads: int) -> tuple[float, str]:
    """Minutes that `python -m module args` takes with so many cores, and its stages in seconds.

    Raises:
        Mistake: the command failed; it has said why.
    """
    with tempfile.TemporaryDirectory() as folder, cores(threads):
        command = [sys.executable, "-m", module, *args, "--out", folder]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "TORCHINDUCTOR_CACHE_DIR": str(Path(folder) / "compiled"),
        }
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, env=environment)
        minutes = (time.perf_counter() - began) / 60
        if done.returncode != 0:
            raise Mistake(f"`{shlex.join(command)}` failed with {done.returncode}; see above")
        (record,) = (Path(folder) / "records").glob("*.json")
        stages = json.loads(record.read_bytes())["cost"]["seconds"]
    return minutes, ", ".join(f"{name} {taken:.0f}" for name, taken in stages.items())


@contextlib.contextmanager
def cores(count: int) -> Iterator[None]:
    """Processes started within have so many cores of this one's, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(own)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
