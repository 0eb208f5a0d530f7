"""Where and how to compute: entered before a set is made and before networks are trained."""

import ctypes
import dataclasses
import functools
import os
from collections.abc import Sequence

import torch

from distill.runtime.mistake import Mistake

SMALL = 16
"""Up to this size in pixels one thread is faster than two: measured for a step on ten 8x8 images
and width 32, 1.8 ms on one thread and 2.9 ms on two."""

_MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -4, -3, -1
"""Of glibc's mallopt."""


@dataclasses.dataclass(frozen=True)
class Compute:
    """Where and how; no part of a thing's identity.

    Attributes:
        device: of torch.
        threads: on a CPU; None leaves torch's own number.
    """

    device: torch.device = torch.device("cpu")  # noqa: RUF009  (a device cannot change)
    threads: int | None = None

    @classmethod
    def of(cls, name: str, shape: Sequence[int]) -> "Compute":
        """For images of `shape` (..., H, W) on the device `name`, with as many threads as pay.

        Raises:
            Mistake: no such device here.
        """
        device = choose(name)
        return cls(device, 1 if device.type == "cpu" and max(shape[-2:]) <= SMALL else None)

    def enter(self) -> None:
        """Set up this process, whatever it was set to before; it changes rounding at most."""
        keep_memory()
        usual_threads()
        torch.set_num_threads(self.threads or usual_threads())


CPU = Compute()


@functools.cache
def usual_threads() -> int:
    """How many threads torch had before this suite set any."""
    return torch.get_num_threads()


def choose(name: str) -> torch.device:
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        Mistake: no such device here.
    """
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("mps")
    if name == "auto":
        return torch.device(gpus[0] if gpus else "cpu")
    if name == "cpu" or name in gpus or (name == "cuda" and "cuda:0" in gpus):
        return torch.device(name)
    raise Mistake(f"device '{name}' is not there; this machine has: {', '.join(['cpu', *gpus])}")


def keep_memory(keep: bool = True) -> None:
    """Let freed memory stay with the process, or give it back; where the C library is glibc.

    By default glibc gives large blocks back at once, and every activation is then a page fault for
    each 4 KB: a third of a matching step, a fifth of a training step on a CPU.
    """
    allocator = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if allocator is not None:
        allocator(_MMAP_MAX, 0 if keep else 65536)
        allocator(_MMAP_THRESHOLD, 32 << 20)
        allocator(_TRIM_THRESHOLD, (2 << 30) - 1 if keep else 64 << 20)
