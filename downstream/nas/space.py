"""The ConvNets that an architecture search chooses from."""

import dataclasses
import itertools
import re

import torch

from distill.architectures.convnet import NORMS, POOLINGS, Spec
from distill.pattern import Pattern, blind
from distill.runtime.mistake import Mistake, short, unknown
from distill.runtime.seeding import generator

WIDTHS = {"laptop": (8, 16, 32, 64), "paper": (32, 64, 128, 256)}
"""The spaces differ in the widths alone. The paper's lists are derived from the option pools of the
dataset-condensation code; their product is the published 720."""


def axes(space: str) -> dict[str, tuple]:
    """What a space may choose, by axis; the axes are the fields of a ConvNet's `Spec`.

    Raises:
        Mistake: no such space.
    """
    if space not in WIDTHS:
        raise unknown("space", space, WIDTHS)
    return {
        "depth": (1, 2, 3, 4),
        "width": WIDTHS[space],
        "norm": NORMS,
        "activation": ("sigmoid", "relu", "leakyrelu"),
        "pooling": tuple(POOLINGS),
    }


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


def count(given: str, space: str) -> int:
    """How many networks `all` or a number stands for.

    Raises:
        Mistake: neither, or more than the space has, or too few to rank.
    """
    most = len(every(space))
    if given == "all":
        return most
    if re.fullmatch("[0-9]{1,9}", given) is None or not 2 <= int(given) <= most:
        raise Mistake(
            f"--networks {short(given)}: give a number from 2 to {most} (the size of the {space} "
            "space), or all"
        )
    return int(given)


def sample(space: str, networks: int) -> list[Spec]:
    """The first `networks` of one fixed shuffle of the space: a smaller sample is part of a larger.

    It depends on no seed of a run, so that every run ranks the same networks.
    """
    points = every(space)
    shuffled = torch.randperm(len(points), generator=generator(0, "nas sample", space))
    return [points[i] for i in shuffled[:networks].tolist()]
