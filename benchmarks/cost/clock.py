"""Timing side by side."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from distill.runtime.compute import Compute, keep_memory
from distill.runtime.progress import Progress

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
        wait()
        began = time.perf_counter()
        work()
        wait()
        return time.perf_counter() - began

    return way


def wait() -> None:
    """For what a GPU still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Moments(Progress):
    """A silent progress that keeps the moment of every advance."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[float] = []

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Keep this moment."""
        self.moments.append(time.perf_counter())

    def seconds(self) -> float:
        """From the first moment to the last."""
        return self.moments[-1] - self.moments[0]


@contextlib.contextmanager
def computing(compute: Compute) -> Iterator[None]:
    """As `compute` says; the number of threads is put back at the end.

    What was compiled before is let go: torch compiles a function a few times at most and then
    leaves it as it is.
    """
    threads = torch.get_num_threads()
    torch.compiler.reset()
    compute.enter()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def usual_memory() -> Iterator[None]:
    """As a program has it that never asked for `keep_memory`."""
    keep_memory(False)
    try:
        yield
    finally:
        keep_memory()


def seconds(times: Sequence[float], steps: float = 1) -> float:
    """The median, for each of `steps`, to four digits."""
    return float(f"{statistics.median(times) / steps:.4g}")


def milliseconds(times: Sequence[float], steps: float = 1) -> float:
    """The median, for each of `steps`, to four digits."""
    return seconds(times, steps / 1000)


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """The median over the turns of how many times as long the first took."""
    return round(statistics.median(a / b for a, b in zip(slower, faster, strict=True)), 2)
