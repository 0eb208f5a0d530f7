"""Where to compute."""

import ctypes
import os

import torch

from distill.mistake import Mistake

_MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -4, -3, -1
"""Of glibc's mallopt."""


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


def tune(device: torch.device, shape: tuple[int, int, int]) -> None:
    """Set up this process for images of `shape` (C, H, W); no result depends on it.

    One thread where images are so small that two are slower: measured for a step on ten 8x8 images
    and width 32, 1.8 ms on one thread and 2.9 ms on two.
    """
    keep_memory()
    if device.type == "cpu" and max(shape[1:]) <= 16:
        torch.set_num_threads(1)


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
