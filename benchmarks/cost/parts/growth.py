"""How the time of a matching step grows."""

import dataclasses

import torch

from benchmarks.cost import floor, work
from benchmarks.cost.clock import computing, milliseconds, take_turns, timed
from benchmarks.cost.work import Size
from distill.networks import parse

TITLE = "How a matching step grows"
NOTE = """\
DataDAM, a faithful step, images of 32x32, width 32; 10 classes, 10 images a class and 128 real
images a class, of which one is varied at a time. floor: the convolutions of the step alone, on as
many images at a time, in the same run.
"""
BASE = Size((3, 32, 32), "convnet-w32", classes=10, ipc=10, real=128)
VARIED = {
    "classes": (5, 10, 20, 50, 100),
    "ipc": (1, 5, 10, 20, 50),
    "real": (16, 32, 64, 128, 256, 512),
}
"""Values by field of `Size`."""
WORDS = {"classes": "classes", "ipc": "images a class", "real": "real images a class"}


def rows(turns: int, device: torch.device) -> list[dict[str, float | int | str]]:
    """A row a size."""
    table = []
    for field, values in VARIED.items():
        for value in values:
            ours, alone = _times(dataclasses.replace(BASE, **{field: value}), turns, device)
            table.append(
                {
                    "varied": WORDS[field],
                    "count": value,
                    "ms": milliseconds(ours),
                    "floor ms": milliseconds(alone),
                }
            )
    return table


def _times(size: Size, turns: int, device: torch.device) -> list[tuple[float, ...]]:
    """Of our step and of its floor."""
    with computing(device, size.shape):
        pieces = work.pieces(size, device)
        alone = floor.matching(parse(size.network), size.shape, pieces, device)
        return take_turns([timed(work.step(size, device)), timed(alone)], turns)
