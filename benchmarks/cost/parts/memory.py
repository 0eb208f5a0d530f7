"""How much memory a matching step takes."""

import subprocess
import sys
import threading
from typing import Any

import psutil
import torch

from benchmarks.costs.step import step
from distill.runtime.compute import tune

TITLE = "Memory of a matching step"
NOTE = """\
DataDAM, a faithful step, images of 64x64, width 128, 1 image a class: the most that the process
held during the step, beyond what it held when the step began (which includes the real images).
"""
CASES = ((10, 16), (10, 64), (10, 256), (200, 16))
"""Classes, real images a class."""


def rows(turns: int, device: torch.device) -> list[dict[str, Any]]:
    """A row a size, each in a fresh process, once."""
    found = []
    for classes, real in CASES:
        command = [sys.executable, "-m", __name__, str(classes), str(real), str(device)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        before, peak = map(float, done.stdout.split())
        found.append(
            {
                "classes": classes,
                "real images a class": real,
                "MB before": round(before),
                "MB more": round(peak - before),
            }
        )
    return found


def main(classes: int, real: int, device: torch.device) -> None:
    """Print the megabytes held before a step, and the most held during it."""
    tune(device, (3, 64, 64))
    backward = step((3, 64, 64), "convnet-w128", classes, 1, real, device)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated() / 2**20
        backward()
        print(before, torch.cuda.max_memory_allocated() / 2**20)
        return
    seen = [resident()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            seen.append(resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    backward()
    over.set()
    watcher.join()
    print(seen[0], max(seen))


def resident() -> float:
    """MB that this process holds; what the kernel calls its peak may be its parent's."""
    return psutil.Process().memory_info().rss / 2**20


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), torch.device(sys.argv[3]))
