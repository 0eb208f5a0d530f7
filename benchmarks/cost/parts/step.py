"""A matching step against the same step in its published shape, and against convolutions alone."""

from collections.abc import Sequence

import torch

from benchmarks.cost import floor, work
from benchmarks.cost.clock import Way, computing, milliseconds, ratio, take_turns, timed
from benchmarks.cost.work import Shape, Size
from distill.networks import parse

TITLE = "A faithful matching step (--method.networks 0)"
NOTE = """\
DataDAM, 10 classes, 128 real images a class. reference: benchmarks/cost/reference.py, the published
algorithm in its published shape; the tests hold both to the same loss and gradient. compiled: ours
with --method.compiled, after its warming up. floor: the convolutions of our step alone, in float32
and on as many images at a time (real images forward, synthetic images forward and back to the
pixels), in the same run. GMAC: their multiply-adds. MB: the least that the activations between the
layers must move, each written and read once.
"""
CASES = (
    ("32x32, width 128, 10 a class", (3, 32, 32), 128, 10),
    ("32x32, width 128, 1 a class", (3, 32, 32), 128, 1),
    ("32x32, width 32, 10 a class", (3, 32, 32), 32, 10),
    ("8x8, width 32, 10 a class", (1, 8, 8), 32, 10),
)
CLASSES, REAL = 10, 128


def rows(turns: int, device: torch.device) -> list[dict[str, float | int | str]]:
    """A row a size."""
    table = []
    for name, shape, width, ipc in CASES:
        size = Size(shape, f"convnet-w{width}", CLASSES, ipc, REAL)
        with computing(device, shape):
            times = take_turns(ways(size, device), turns)
        passes = CLASSES * (REAL + 2 * ipc)
        table.append({"step": name, **columns(*times), **arithmetic(size.network, shape, passes)})
    return table


def ways(size: Size, device: torch.device) -> list[Way]:
    """The reference, ours, ours compiled, and the floor."""
    alone = floor.matching(parse(size.network), size.shape, work.pieces(size, device), device)
    return [
        timed(work.reference_step(size, device)),
        timed(work.step(size, device), again=True),
        timed(work.step(size, device, compiled=True), again=True),
        timed(alone, again=True),
    ]


def columns(
    reference: Sequence[float],
    ours: Sequence[float],
    compiled: Sequence[float],
    alone: Sequence[float],
) -> dict[str, float]:
    """Of the seconds that each way took, turn by turn."""
    return {
        "reference ms": milliseconds(reference),
        "ours ms": milliseconds(ours),
        "times faster": ratio(reference, ours),
        "compiled ms": milliseconds(compiled),
        "floor ms": milliseconds(alone),
        "ours / floor": ratio(ours, alone),
        "compiled / floor": ratio(compiled, alone),
    }


def arithmetic(network: str, shape: Shape, images: int) -> dict[str, float]:
    """What so many images' passes through the layers take, forward or back."""
    spec = parse(network)
    return {
        "GMAC": round(floor.multiply_adds(spec, shape, images) / 1e9, 2),
        "MB": round(floor.moved(spec, shape, images) / 2**20, 1),
    }
