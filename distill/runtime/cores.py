"""How many processes, of one thread each, do independent jobs soonest."""

import math
import os
from collections.abc import Sequence

import torch

from distill.runtime.compute import SMALL, usual_threads
from distill.runtime.mistake import Mistake

WORTH = 5000
"""Steps on images of SMALL pixels, of all jobs together, that pay the start of processes: about 3 s
each; such a step takes 1 to 2 ms. On larger images steps cost in proportion to the pixels."""
SCALING = 0.85
"""Threads scale as the number of cores to this power: 1.8 on two, a training step at width 128."""


def cores() -> int:
    """How many this process may use: no more than torch would use threads (OMP_NUM_THREADS)."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())
    return min(len(allowed), usual_threads())


def require(given: int | None, device: torch.device) -> None:
    """Check a number of processes that a user gave.

    Raises:
        Mistake: below 1, or more than one on a GPU.
    """
    if given is not None and given < 1:
        raise Mistake(f"--workers {given} does no work; give 1 or more, or leave it out")
    if given is not None and given > 1 and device.type != "cpu":
        raise Mistake(
            f"--workers {given} is for a CPU; on {device} one process does all: leave --workers "
            "out, or give --device cpu"
        )


def most(given: int | None, device: torch.device) -> int:
    """Processes at most: as `given`, or a core each; one on a GPU."""
    return 1 if device.type != "cpu" else given or cores()


def count(
    jobs: int, steps: float, *, shape: Sequence[int], device: torch.device, given: int | None = None
) -> int:
    """How many processes do so many jobs soonest: a rule of sizes, never of a clock.

    Args:
        steps: of a network on a mini-batch, in one job. shape: of an image, (..., H, W).
        given: by the user, whatever pays.
    """
    number = min(jobs, most(given, device))
    if given is not None or number < 2:
        return max(1, number)
    paid = jobs * steps * max(1.0, math.prod(shape[-2:]) / SMALL**2) >= WORTH
    threads = cores() ** SCALING if max(shape[-2:]) > SMALL else 1.0
    rounds = -(-jobs // number)
    return number if paid and rounds < jobs / threads else 1
