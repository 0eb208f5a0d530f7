"""The one place that turns a seed into random streams."""

import hashlib

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose, e.g. `generator(0, "network", 7)`.

    Streams of different purposes are independent, and a stream depends on nothing but its
    arguments: not on the order of calls, the number of classes or the device. Draw on the CPU and
    move the result, so that a GPU sees the same numbers.
    """
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
