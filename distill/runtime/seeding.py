"""The one place that turns a seed into random streams."""

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A seed for one purpose, from 0 to 2**63 - 1: `derive(0, "set", 3)`.

    Seeds of different purposes share nothing, so that run 0's set 1 is not run 1's set 0.
    """
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose, e.g. `generator(0, "network", 7)`.

    Streams of different purposes are independent, and a stream depends on nothing but its
    arguments: not on the order of calls, the number of classes or the device. Draw on the CPU and
    move the result, so that a GPU sees the same numbers.
    """
    return torch.Generator().manual_seed(derive(seed, *purpose))
