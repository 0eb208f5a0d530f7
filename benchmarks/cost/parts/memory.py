"""How much memory a matching step takes."""

import subprocess
import sys
import threading
from collections.abc import Callable

import psutil
import torch

from benchmarks.cost import work
from benchmarks.cost.clock import computing
from benchmarks.cost.settings import Timing
from benchmarks.cost.work import MatchingSize
from distill.runtime.compute import Compute

TITLE = "Memory of a matching step"
NOTE = """\
DataDAM, a faithful step, images of 64x64, width 128, 1 image a class, each in a fresh process: the
most that the process held during the step, beyond what it held when the step began (which includes
the real images).
"""
ONCE = True
CASES = ((10, 16), (10, 64), (10, 256), (200, 16))
"""Classes, real images a class."""


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a size, as a command computes in the last of the precisions."""
    table = []
    for classes, real in CASES:
        compute = settings.usual((3, 64, 64))
        given = str(classes), str(real), str(compute.device), compute.precision
        command = [sys.executable, "-m", __name__, *given]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        before, most = map(float, done.stdout.split())
        table.append(
            {
                "classes": classes,
                "real images a class": real,
                "precision": compute.precision,
                "MB before": round(before),
                "MB more": round(most - before),
            }
        )
    return table


def main(classes: int, real: int, compute: Compute) -> None:
    """Print the megabytes held before a step, and the most held during it."""
    size = MatchingSize((3, 64, 64), "convnet-w128", classes, 1, real)
    with computing(compute):
        print(*held(work.step(size, compute), compute.device))


def held(step: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """MB held before `step`, and the most during it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return before / 2**20, torch.cuda.max_memory_allocated(device) / 2**20
    seen = [resident()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            seen.append(resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        step()
    finally:
        over.set()
        watcher.join()
    return seen[0], max(seen)


def resident() -> float:
    """MB that this process holds; what the kernel calls its peak may be its parent's."""
    return psutil.Process().memory_info().rss / 2**20


if __name__ == "__main__":
    where = Compute(torch.device(sys.argv[3]), precision=sys.argv[4], compile="never")
    main(int(sys.argv[1]), int(sys.argv[2]), where)
