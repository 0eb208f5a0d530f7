"""Timing side by side."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from distill.images import ImageSet, Normalisation
from distill.runtime.compute import keep_memory

Way = Callable[[], float]
"""Does its work and gives the seconds it took."""


def take_turns(ways: Sequence[Way], turns: int) -> list[tuple[float, ...]]:
    """Run every way once to warm it up, then all in turn; for every way, its seconds each turn."""
    for way in ways:
        way()
    return list(zip(*([way() for way in ways] for _ in range(turns)), strict=True))


def timed(work: Callable[[], object], *, again: bool = False) -> Way:
    """All of `work` by the wall clock; a GPU is waited for.

    With `again`, it runs once before the clock starts, for work that is done many times over and
    whose memory another way may have given back.
    """

    def way() -> float:
        if again:
            work()
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return way


@contextlib.contextmanager
def usual_memory() -> Iterator[None]:
    """As a program has it that never asked for `keep_memory`."""
    keep_memory(False)
    try:
        yield
    finally:
        keep_memory()


def milliseconds(times: Sequence[float], steps: int = 1) -> float:
    """The median, for each of `steps`."""
    return round(1000 * statistics.median(times) / steps, 2)


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """The median over the turns of how many times as long the first took."""
    return round(statistics.median(a / b for a, b in zip(slower, faster, strict=True)), 2)


def noise_images(shape: tuple[int, int, int], classes: int, per_class: int) -> ImageSet:
    """Images of random pixels: time does not depend on what they show."""
    stream = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (classes * per_class, *shape), generator=stream)
    labels = torch.arange(classes).repeat_interleave(per_class)
    names = tuple(map(str, range(classes)))
    normalisation = Normalisation.fixed(shape[0])
    return ImageSet("noise", pixels.to(torch.uint8), labels, names, normalisation)
