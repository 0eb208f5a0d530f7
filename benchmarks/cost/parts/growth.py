"""How the time of a matching step grows."""

from typing import Any

import torch

from benchmarks.costs.clock import milliseconds, take_turns, timed
from benchmarks.costs.step import multiply_add_rate, multiply_adds, step
from distill.networks import parse
from distill.runtime.compute import tune

TITLE = "How a matching step grows"
NOTE = """\
DataDAM, a faithful step, images of 32x32, width 32; 10 classes, 10 images a class and 128 real
images a class, of which one is varied at a time. floor: as for a step.
"""
SHAPE, NETWORK = (3, 32, 32), "convnet-w32"
BASE = {"classes": 10, "images a class": 10, "real images a class": 128}
VARIED = {
    "classes": (5, 10, 20, 50, 100),
    "images a class": (1, 5, 10, 20, 50),
    "real images a class": (16, 32, 64, 128, 256, 512),
}


def rows(turns: int, device: torch.device) -> list[dict[str, Any]]:
    """A row a size."""
    tune(device, SHAPE)
    found = []
    for axis, values in VARIED.items():
        for value in values:
            classes, ipc, real = (BASE | {axis: value}).values()
            (times,) = take_turns([timed(step(SHAPE, NETWORK, classes, ipc, real, device))], turns)
            total = multiply_adds(parse(NETWORK), SHAPE, classes * (real + 2 * ipc))
            found.append(
                {
                    "varied": axis,
                    "count": value,
                    "ms": milliseconds(times),
                    "floor ms": round(1000 * total / multiply_add_rate(device), 2),
                }
            )
    return found
