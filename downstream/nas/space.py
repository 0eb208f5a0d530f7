"""What an architecture search chooses from: what a space must offer, and that of the ConvNets."""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from distill import networks
from distill.architectures.convnet import NORMS, POOLINGS, Spec
from distill.networks import Network
from distill.pattern import Pattern, blind
from distill.runtime.mistake import Mistake, short, unknown
from distill.runtime.seeding import generator


class Space(Protocol):
    """Networks that a search chooses from, for images of one shape and so many classes.

    A network of it is told by a `spec`, whose text is its name, and by a point: a choice an axis.
    """

    name: str
    """What records and tables call the space."""
    shape: tuple[int, int, int]
    """(C, H, W) of an image."""
    classes: int

    @property
    def axes(self) -> Mapping[str, Sequence[Any]]:
        """What may be chosen, by axis."""

    @property
    def total(self) -> int:
        """How many networks there are; more than `len` can say, perhaps."""

    def sample(self, count: int) -> list[Any]:
        """The first `count` of one fixed shuffle: a smaller sample is part of a larger.

        It depends on no seed of a run, so that every run ranks the same networks.
        """

    def parse(self, name: str) -> Any:
        """The network of that name."""

    def spec(self, point: Mapping[str, Any]) -> Any:
        """The network of a point."""

    def point(self, spec: Any) -> dict[str, Any]:
        """The point of a network."""

    def build(self, spec: Any) -> Network:
        """The network, whose weights are only drawn when its trial begins."""

    def size(self, spec: Any) -> tuple[int, int]:
        """Parameters, and FLOPs of one image's forward pass."""

    def sizes(self, spec: Any) -> dict[str, int]:
        """`size` as the row of a trial holds it."""
        parameters, flops = self.size(spec)
        return {"parameters": parameters, "flops": flops}

    def symbol(self) -> Any:
        """What another process makes the same space of (`own.opened`), in plain values."""


WIDTHS = {"laptop": (8, 16, 32, 64), "paper": (32, 64, 128, 256)}
"""The spaces differ in the widths alone. The paper's lists are derived from the option pools of the
dataset-condensation code; their product is the published 720."""


def axes(space: str) -> dict[str, tuple]:
    """What a space may choose, by axis; the axes are the fields of a ConvNet's `Spec`.

    Raises:
        Mistake: no such space.
    """
    if space not in WIDTHS:
        raise unknown("space", space, [*WIDTHS, "the path of a Python file (FILE.py)"])
    return {
        "depth": (1, 2, 3, 4),
        "width": WIDTHS[space],
        "norm": NORMS,
        "activation": ("sigmoid", "relu", "leakyrelu"),
        "pooling": tuple(POOLINGS),
    }


@dataclasses.dataclass(frozen=True)
class ConvNets(Space):
    """The `Space` of the ConvNets.

    Attributes:
        name: a key of WIDTHS. shape: (C, H, W) of an image. classes: how many.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int

    @property
    def axes(self) -> dict[str, tuple]:
        """The fields of a ConvNet's `Spec`."""
        return axes(self.name)

    @property
    def total(self) -> int:
        """720."""
        return len(every(self.name))

    def sample(self, count: int) -> list[Spec]:
        """As the function `sample`."""
        return sample(self.name, count)

    def parse(self, name: str) -> Spec:
        """As `networks.parse`."""
        return networks.parse(name)

    def spec(self, point: Mapping[str, Any]) -> Spec:
        """The ConvNet of a point."""
        return Spec(**point)

    def point(self, spec: Spec) -> dict[str, Any]:
        """The fields of a ConvNet's `Spec`."""
        return dataclasses.asdict(spec)

    def build(self, spec: Spec) -> Network:
        """As `networks.build`."""
        return networks.build(spec, self.shape, classes=self.classes, generator=generator(0))

    def size(self, spec: Spec) -> tuple[int, int]:
        """As `networks.size`."""
        return networks.size(spec, self.shape, self.classes)

    def symbol(self) -> str:
        """Its name."""
        return self.name


def every(space: str) -> list[Spec]:
    """All networks of a space, in a fixed order."""
    options = axes(space)
    return [
        Spec(**dict(zip(options, point, strict=True)))
        for point in itertools.product(*options.values())
    ]


def pattern(space: str, shape: tuple[int, int, int]) -> str:
    """The name of the pattern (`distill.pattern`) of a space's networks, for images of `shape`.

    Without the depths at which poolings and a norm leave nothing of so small images: of 8x8 pixels
    networks of depth 4 are left out, of 16x16 none.
    """
    first = axes(space)
    alike = {"width": first["width"][0], "activation": first["activation"][0]}  # it matters not
    without = {
        spec.depth
        for spec in every(space)
        if spec == dataclasses.replace(spec, **alike) and blind(spec, shape)
    }
    return Pattern.of(spec for spec in every(space) if spec.depth not in without).name


def count(given: str, space: str, most: int) -> int:
    """How many networks `all` or a number stands for, of a space of that name and size.

    Raises:
        Mistake: neither, or more than the space has, or too few to rank.
    """
    if given == "all":
        return most
    if re.fullmatch("[0-9]{1,9}", given) is None or not 2 <= int(given) <= most:
        raise Mistake(
            f"--networks {short(given)}: give a number from 2 to {most} (the size of the {space} "
            "space), or all"
        )
    return int(given)


def sample(space: str, networks: int) -> list[Spec]:
    """The first `networks` of one fixed shuffle of the space, as `Space.sample`."""
    points = every(space)
    shuffled = torch.randperm(len(points), generator=generator(0, "nas sample", space))
    return [points[i] for i in shuffled[:networks].tolist()]
