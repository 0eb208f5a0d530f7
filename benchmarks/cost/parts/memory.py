"""How much memory a matching step takes."""

import subprocess
import sys
import threading
from collections.abc import Callable

import psutil
import torch

from benchmarks.cost import work
from benchmarks.cost.clock import computing
from benchmarks.cost.work import Size

TITLE = "Memory of a matching step"
NOTE = """\
DataDAM, a faithful step, images of 64x64, width 128, 1 image a class, each in a fresh process: the
most that the process held during the step, beyond what it held when the step began (which includes
the real images).
"""
CASES = ((10, 16), (10, 64), (10, 256), (200, 16))
"""Classes, real images a class."""


def rows(turns: int, device: torch.device) -> list[dict[str, float | int | str]]:
    """A row a size, measured once, whatever the turns."""
    table = []
    for classes, real in CASES:
        command = [sys.executable, "-m", __name__, str(classes), str(real), str(device)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        before, most = map(float, done.stdout.split())
        table.append(
            {
                "classes": classes,
                "real images a class": real,
                "MB before": round(before),
                "MB more": round(most - before),
            }
        )
    return table


def main(classes: int, real: int, device: torch.device) -> None:
    """Print the megabytes held before a step, and the most held during it."""
    size = Size((3, 64, 64), "convnet-w128", classes, 1, real)
    with computing(device, size.shape):
        print(*held(work.step(size, device), device))


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
    main(int(sys.argv[1]), int(sys.argv[2]), torch.device(sys.argv[3]))
