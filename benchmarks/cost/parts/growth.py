"""How the time of a matching step grows."""

import dataclasses

from benchmarks.cost import work
from benchmarks.cost.clock import computing, milliseconds, take_turns, timed
from benchmarks.cost.settings import Timing
from benchmarks.cost.work import MatchingSize

TITLE = "How a matching step grows"
NOTE = """\
DataDAM, a faithful step, not compiled, images of 32x32, width 32; 10 classes, 10 images a class and
128 real images a class, of which one is varied at a time. floor: the convolutions of the step
alone, on as many images at a time, in the fastest layout, in the same run.
"""
BASE = MatchingSize((3, 32, 32), "convnet-w32", classes=10, ipc=10, real=128)
VARIED = {
    "classes": (5, 10, 20, 50, 100),
    "ipc": (1, 5, 10, 20, 50),
    "real": (16, 32, 64, 128, 256, 512),
}
"""Values by field of `MatchingSize`."""
WORDS = {"classes": "classes", "ipc": "images a class", "real": "real images a class"}


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a size, on all threads and in the last precision."""
    table = []
    for field, values in VARIED.items():
        for value in values:
            size = dataclasses.replace(BASE, **{field: value})
            compute = settings.usual(size.shape)
            with computing(compute):
                ways = [timed(work.step(size, compute)), timed(work.floor_of_step(size, compute))]
                ours, alone = take_turns(ways, settings.turns)
            table.append(
                {
                    "varied": WORDS[field],
                    "count": value,
                    "precision": compute.precision,
                    "threads": compute.threads,
                    "ms": milliseconds(ours),
                    "floor ms": milliseconds(alone),
                }
            )
    return table
