"""Memories of real images as they are: none, all, a random sample (`reference` has their names)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from distill.images import ImageSet
from distill.runtime.seeding import generator


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
