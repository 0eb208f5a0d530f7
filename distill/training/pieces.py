"""How much passes through a network at a time.

A library may choose another way for another shape of its input, and so round otherwise; but
wherever in an input of one shape an image stands, it gets the same numbers. Pieces whose shape
depends on nothing but a class's own plan make a class's images the same, bit for bit, whatever
other classes are with it. They also stay in a CPU's cache. A GPU, which waits for Python otherwise,
takes the classes that there are together, and there the same holds to rounding alone.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

AT_ONCE = {"cpu": 2**21, "cuda": 2**28}
"""How many numbers one layer's activations may have at a time: a few images of 32x32 at width 128
stay in a CPU's cache; a GPU wants much. It bounds the memory of both sides."""

WORTH_A_CALL = {"cpu": 2**25, "cuda": 2**37}
"""FLOPs of a forward pass that outweigh its calls from Python: smaller classes share a piece."""
TOGETHER = 10
"""So many classes at most, on a CPU: a piece is filled up, and few classes may be there."""


class Pieces(NamedTuple):
    """Of a matching objective.

    Attributes:
        images: of one class, on the real side, at most.
        real: classes on the real side, where more than one pass together: all their images do.
        classes: on the synthetic side, each with `shown` images.
    """

    images: int
    real: int
    classes: int
    shown: int

    @classmethod
    def of(
        cls, shown: int, *, batch: int, classes: int, numbers: int, flops: int, device: str
    ) -> "Pieces":
        """For classes of `shown` synthetic and `batch` real images each.

        Args:
            classes: that are there. numbers: of one image's largest activation. flops: of its
                forward pass.
        """
        most = fitting(numbers, device, AT_ONCE)
        kind = "cpu" if device == "cpu" else "cuda"
        worth = max(2, WORTH_A_CALL[kind] // flops)  # one image alone is a slow shape
        limit = TOGETHER if device == "cpu" else classes
        together = max(1, min(-(-worth // shown), limit, most // shown))
        # On a CPU one class's real images fill the cache.
        real = 1 if device == "cpu" else max(1, min(-(-worth // batch), limit, most // batch))
        return cls(most, real, together, shown)


def fitting(numbers: int, device: str, at_once: Mapping[str, int]) -> int:
    """How many images of so many `numbers` each may be in a piece, one at least."""
    return max(1, at_once.get(device, at_once["cuda"]) // numbers)


def even(count: int, most: int) -> int:
    """The size of as few equal pieces of `count` things, of `most` each, as may be."""
    return -(-count // -(-count // most))


def filled(part: Tensor, count: int) -> Tensor:
    """[n, ...], with zeros after it: [count, ...]; n is no larger."""
    return F.pad(part, [0, 0] * (part.ndim - 1) + [0, count - len(part)])
