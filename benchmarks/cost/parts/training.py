"""A training step against the same step in its published shape, and against convolutions alone."""

from collections.abc import Sequence

from benchmarks.cost import training as work
from benchmarks.cost.clock import Way, computing, milliseconds, ratio, take_turns, timed
from benchmarks.cost.settings import Timing
from benchmarks.cost.training import TrainingSize
from distill.runtime.compute import Compute

TITLE = "A training step on a small set"
NOTE = """\
One mini-batch for each network, DSA included; milliseconds an image of one network. before:
benchmarks/cost/reference.py, each network alone and the batch as a whole, in float32 on as many
threads; the tests hold both to the same trained networks. now: as the suite does it in a long
run. floor: the convolutions of our step alone, forward, back to the weights and, but for the first
layer, back to the input, on as many images at a time, each layer in the layout of memory (and in
bfloat16 rows the precision) that is fastest for it. All ways of one size and number of threads took
turns in the same run.
"""
CASES = (
    ("32x32, width 128, 100 images", TrainingSize((3, 32, 32), "convnet-w128", 100)),
    ("32x32, width 32, 100 images", TrainingSize((3, 32, 32), "convnet-w32", 100)),
    ("32x32, width 32, 10 images", TrainingSize((3, 32, 32), "convnet-w32", 10)),
    ("8x8, width 32, 100 images, 5 networks", TrainingSize((1, 8, 8), "convnet-w32", 100, 5)),
    ("8x8, width 32, 10 images, 5 networks", TrainingSize((1, 8, 8), "convnet-w32", 10, 5)),
)
STEPS = 8
"""In one turn."""


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a size, number of threads and precision."""
    table = []
    for name, size in CASES:
        for computes in settings.computes(size.shape, compile="auto"):
            with computing(computes[0]):
                before, *times = take_turns(ways(size, computes), settings.turns)
            for number, compute in enumerate(computes):
                own = columns(before, *times[2 * number : 2 * number + 2], images=images(size))
                with_what = {"precision": compute.precision, "threads": compute.threads}
                table.append({"step": name, **with_what, **own})
    return table


def images(size: TrainingSize) -> int:
    """That pass through one network or another in one turn."""
    return STEPS * size.images * size.networks


def ways(size: TrainingSize, computes: Sequence[Compute]) -> list[Way]:
    """As it was, and for each precision: as it is now, and the floor."""
    every = [timed(work.before(size, STEPS, computes[0]))]
    for compute in computes:
        alone = work.floor_of_step(size, compute)
        every.append(timed(work.ours(size, STEPS, compute), again=True))
        every.append(timed(lambda alone=alone: [alone() for _ in range(STEPS)], again=True))
    return every


def columns(
    before: Sequence[float], now: Sequence[float], alone: Sequence[float], *, images: int
) -> dict[str, float]:
    """Of the seconds that each way took with so many images, turn by turn."""
    return {
        "before ms": milliseconds(before, images),
        "now ms": milliseconds(now, images),
        "floor ms": milliseconds(alone, images),
        "before / now": ratio(before, now),
        "now / floor": ratio(now, alone),
    }
