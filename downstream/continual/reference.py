"""What a small memory is judged by: no memory, all images, a random sample of the stream.

None of the three is a method: they make no set, and keep real images as they are or none.

naive: fine-tuning, the lower bound. The networks go on, on each step's images alone. It belongs to
`replay`: there is nothing that fresh networks could be retrained on.

joint: all real images of all classes seen so far, at every step: the upper bound. With `retrain`
fresh networks are trained on them by the recipe of the table (the end of its curve by memory), with
`replay` the networks go on with them (Avalanche's `Cumulative`), and an epoch is a pass over them.

reservoir: experience replay (Chaudhry et al., On Tiny Episodic Memories in Continual Learning,
2019) as other buffers are used by either strategy, but the memory has all its room, ipc x classes
images, from the first step on, and is at any time a uniform sample of all images seen.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from distill.images import ImageSet
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator

NAMES = ("naive", "joint", "reservoir")
WITHOUT_SETS = ("naive", "joint")
"""Of which no seed decides what is held: there is one memory, and no images a class to choose."""
VERSION = 1
"""Raised when the same row comes to hold other images."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Nothing to configure."""

    couples_classes: ClassVar[bool] = False
    formation: ClassVar[int] = 1


class Memory:
    """Real images that are kept as they are, at 1 byte a value; this one keeps none.

    It stands where a `DistilledBuffer` does.

    Attributes:
        real: the training images of all steps. kept: int64 [N], the places in it that are held.
    """

    def __init__(self, real: ImageSet) -> None:
        self.real, self.kept = real, torch.empty(0, dtype=torch.int64)

    def post_adapt(self, agent_state: object, exp: Any) -> None:
        """Take in the classes of Avalanche's experience `exp`."""
        self.take(exp.classes_in_this_experience)

    def take(self, classes: Sequence[int]) -> None:
        """Take in the images of these classes."""

    def arriving(self, classes: Sequence[int]) -> Tensor:
        """int64 [n]: the places of the images of these classes."""
        return torch.isin(self.real.labels, torch.tensor(sorted(classes))).nonzero()[:, 0]

    def tensors(self) -> tuple[Tensor, Tensor]:
        """What a network is shown: images [N, C, H, W], normalised, and labels [N]."""
        images, labels = self.real.images[self.kept], self.real.labels[self.kept]
        return self.real.normalisation(images), labels

    @property
    def stored_bytes(self) -> int:
        """What the images take."""
        return len(self.kept) * math.prod(self.real.shape)


class Everything(Memory):
    """All images of the classes seen."""

    def take(self, classes: Sequence[int]) -> None:
        """Keep them all."""
        self.kept = torch.cat([self.kept, self.arriving(classes)])


class Reservoir(Memory):
    """A uniform sample of all images seen, never more than `max_size`.

    Vitter's algorithm R (Random Sampling with a Reservoir, 1985, section 2): the first `max_size`
    images are kept; image number n, from 1, then takes the place of one of them, each alike, with
    probability max_size / n. Avalanche's `ReservoirSamplingBuffer` keeps such a sample too, but
    draws it from torch's global generator.
    """

    def __init__(self, real: ImageSet, *, max_size: int, seed: int) -> None:
        super().__init__(real)
        self.max_size, self.seen = max_size, 0
        self._stream = generator(seed, "reservoir")

    def take(self, classes: Sequence[int]) -> None:
        """Let the images of these classes pass by, one after the other."""
        kept, arriving = self.kept.tolist(), self.arriving(classes)
        chances = torch.rand(len(arriving), generator=self._stream, dtype=torch.float64)
        numbers = torch.arange(self.seen + 1, self.seen + len(arriving) + 1)
        slots = (chances * numbers).long()  # each of 0 .. n - 1 alike, for image number n
        for place, slot in zip(arriving.tolist(), slots.tolist(), strict=True):
            if len(kept) < self.max_size:
                kept.append(place)
            elif slot < self.max_size:
                kept[slot] = place
        self.kept = torch.tensor(kept, dtype=torch.int64)
        self.seen += len(arriving)


@dataclasses.dataclass(frozen=True)
class Reference:
    """A memory that is asked for by one of `NAMES`, where others have a `distill.plan.Plan`.

    Attributes:
        ipc: images a class that `reservoir` holds in the end, on the average; 0 elsewhere.
        seed: of what `reservoir` draws.
    """

    method: str
    ipc: int = 0
    seed: int = 0
    config: ClassVar[Config] = Config()

    def memory(self, real: ImageSet) -> Memory:
        """An empty one for the training images of all steps."""
        if self.method == "reservoir":
            return Reservoir(real, max_size=self.ipc * len(real.classes), seed=self.seed)
        return Everything(real) if self.method == "joint" else Memory(real)


def require(name: str, *, strategy: str, ipc: int, sets: int | None) -> Reference:
    """The reference of that name, as a command asks for it; `sets` is None where none are asked.

    Raises:
        Mistake: it does not go with the strategy, or has no images a class or sets to choose.
    """
    if name == "naive" and strategy == "retrain":
        raise Mistake(
            "--buffer naive keeps no images, so --strategy retrain has nothing to train on; give "
            "--strategy replay"
        )
    if name not in WITHOUT_SETS:
        return Reference(name, ipc)
    held = "no images" if name == "naive" else "all images"
    if ipc != 1:
        raise Mistake(f"--buffer {name} keeps {held}, whatever --ipc {ipc} says; leave --ipc out")
    if sets is not None:
        raise Mistake(
            f"--buffer {name} keeps {held}, so --sets {sets} has nothing to make anew; "
            "leave --sets out"
        )
    return Reference(name)
