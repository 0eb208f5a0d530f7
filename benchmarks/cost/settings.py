"""What the parts are measured with."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from distill.runtime.compute import (
    BFLOAT16,
    FLOAT32,
    SMALL,
    Compute,
    choose_precision,
    multiplies_bfloat16,
    usual_threads,
)
from distill.runtime.mistake import Mistake

LEFT_OUT = "This machine does not multiply bfloat16 natively, so there are no rows in bfloat16.\n"


@dataclasses.dataclass(frozen=True)
class Timing:
    """How everything is timed.

    Attributes:
        turns: how often each thing is timed.
        precisions, threads: every pair of them has rows of its own.
        commands, dataset, data_root: of the part `cell`. classes, images: of the part `scaling`.
    """

    turns: int
    device: torch.device
    precisions: tuple[str, ...]
    threads: tuple[int, ...]
    commands: tuple[str, ...] = ()
    dataset: str | None = None
    data_root: Path = Path("data")
    classes: int = 1000
    images: int = 1300

    def computes(self, shape: Sequence[int], *, compile: str = "never") -> list[list[Compute]]:
        """For images of `shape`: for each number of threads, one in every precision.

        Small images are computed as the suite always does it, and a GPU on torch's own threads.
        """
        if max(shape[-2:]) <= SMALL:
            return [[self.usual(shape, compile=compile)]]
        threads = self.threads if self.device.type == "cpu" else self.threads[-1:]
        return [
            [Compute(self.device, count, precision, compile) for precision in self.precisions]
            for count in threads
        ]

    def usual(self, shape: Sequence[int], *, compile: str = "never") -> Compute:
        """As a command computes on images of `shape`, in the last of the precisions."""
        small = max(shape[-2:]) <= SMALL
        precision = FLOAT32 if small else self.precisions[-1]
        usual = Compute.of(str(self.device), shape, precision=precision, compile=compile)
        return usual if small else dataclasses.replace(usual, threads=self.threads[-1])


def precisions(given: str, device: torch.device) -> tuple[str, ...]:
    """Those that `--precision` stands for; `auto` has bfloat16 only where it is native.

    Raises:
        Mistake: no such precision, or one that this machine gets wrong.
    """
    if given != "auto":
        return (choose_precision(given, device),)
    low = choose_precision(given, device) == BFLOAT16
    return (FLOAT32, BFLOAT16) if low else (FLOAT32,)


def left_out(given: str, device: torch.device) -> str:
    """A line on rows that `--precision auto` does not measure here, or nothing."""
    return LEFT_OUT if given == "auto" and not multiplies_bfloat16(device) else ""


def threads(given: Sequence[int]) -> tuple[int, ...]:
    """Those that `--threads` stands for, in ascending order; 1 and all where none are given.

    Raises:
        Mistake: a number below 1.
    """
    if any(count < 1 for count in given):
        raise Mistake(f"--threads {' '.join(map(str, given))}: give numbers of 1 or more")
    return tuple(sorted({*given} or {1, usual_threads()}))
