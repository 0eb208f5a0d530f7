"""A matching step against the same step in its published shape, and against convolutions alone."""

import dataclasses
from collections.abc import Sequence

from benchmarks.cost import work
from benchmarks.cost.clock import Way, computing, ratio, seconds, take_turns, timed
from benchmarks.cost.floor import Floor
from benchmarks.cost.settings import Timing
from benchmarks.cost.work import MatchingSize
from distill.runtime.compute import Compute

TITLE = "A faithful matching step (--method.networks 0)"
NOTE = """\
DataDAM, 10 classes, 128 real images a class, a fresh network at every step; seconds of one step.
reference: benchmarks/cost/reference.py, the published algorithm in its published shape, in float32
on as many threads; the tests hold both to the same loss and gradient. eager, compiled: ours with
--compile never and always, after the compiler is done. floor: the convolutions of our step alone
(real images forward, synthetic images forward and back to the pixels), on as many images at a time,
each layer in the layout of memory (and in bfloat16 rows the precision) that is fastest for it.
All ways of one size and number of threads took turns in the same run.
"""
CASES = (
    ("32x32, width 128, 10 a class", (3, 32, 32), 128, 10),
    ("32x32, width 128, 1 a class", (3, 32, 32), 128, 1),
    ("32x32, width 32, 10 a class", (3, 32, 32), 32, 10),
    ("32x32, width 32, 1 a class", (3, 32, 32), 32, 1),
    ("8x8, width 32, 10 a class", (1, 8, 8), 32, 10),
)
CLASSES, REAL = 10, 128


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a size, number of threads and precision."""
    table = []
    for name, shape, width, ipc in CASES:
        size = MatchingSize(shape, f"convnet-w{width}", CLASSES, ipc, REAL)
        for computes in settings.computes(shape, compile="always"):
            with computing(computes[0]):
                floors = [work.floor_of_step(size, compute) for compute in computes]
                every = ways(size, computes, floors)
                reference, *times = take_turns(every, settings.turns)
            for number, (compute, alone) in enumerate(zip(computes, floors, strict=True)):
                own = columns(reference, *times[3 * number : 3 * number + 3], flops=alone.flops)
                with_what = {"precision": compute.precision, "threads": compute.threads}
                table.append({"step": name, **with_what, **own})
    return table


def ways(size: MatchingSize, computes: Sequence[Compute], floors: Sequence[Floor]) -> list[Way]:
    """The reference, and for each precision: ours eager, ours compiled, and the floor."""
    every = [timed(work.reference_step(size, computes[0].device))]
    for compute, alone in zip(computes, floors, strict=True):
        plain = dataclasses.replace(compute, compile="never")
        own = work.step(size, plain), work.step(size, compute), alone
        every += [timed(one, again=True) for one in own]
    return every


def columns(
    reference: Sequence[float],
    eager: Sequence[float],
    compiled: Sequence[float],
    alone: Sequence[float],
    *,
    flops: int,
) -> dict[str, float]:
    """Of the seconds that each way took, turn by turn; flops: of the floor."""
    return {
        "reference s": seconds(reference),
        "eager s": seconds(eager),
        "compiled s": seconds(compiled),
        "floor s": seconds(alone),
        "reference / eager": ratio(reference, eager),
        "reference / compiled": ratio(reference, compiled),
        "eager / floor": ratio(eager, alone),
        "compiled / floor": ratio(compiled, alone),
        "floor GFLOP/s": round(flops / seconds(alone) / 1e9),
    }
