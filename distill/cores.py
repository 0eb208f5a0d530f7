"""Pieces of one computation, one to each core."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item, Result = TypeVar("Item"), TypeVar("Result")


def share(
    work: Callable[[Item], Result], items: Iterable[Item], device: torch.device
) -> list[Result]:
    """`work(item)` for every item, in order; on a CPU as many at a time as torch has threads.

    Each is then done on one thread, so that what it computes stays in its core's cache: with two
    cores a matching step takes 0.8 times what it takes with every operation on both.
    """
    items = list(items)
    threads = min(torch.get_num_threads(), len(items)) if device.type == "cpu" else 1
    if threads < 2:
        return [work(item) for item in items]
    # The threads end here and not with the process: torch aborts where they end beside it.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        running = [pool.submit(work, item) for item in items]
        try:
            return [one.result() for one in running]
        finally:  # nothing is left to cancel unless one failed, or Ctrl-C was pressed
            for one in running:
                one.cancel()
