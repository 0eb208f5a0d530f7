"""A pattern: a network's name with alternatives in braces stands for all networks that it spells.

`convnet-d{2,3}-w32-{instance,batch}` are four networks, and a plain name is a pattern of one. A
method that matches statistics draws each of its random networks from its pattern, all alike likely:
images learned in one norm alone misrank the networks of others.
"""

import dataclasses
import functools
import importlib
import itertools
import math
import re
from collections.abc import Iterable

import torch

from distill import networks
from distill.networks import Spec
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator

MOST = 10_000
"""Networks of a pattern; more are a slip."""


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Some networks.

    Attributes:
        name: spells them all; those of the same networks are the same.
        members: the networks, each once, in the order of their names.
    """

    name: str
    members: tuple[Spec, ...]

    @classmethod
    def of(cls, specs: Iterable[Spec]) -> "Pattern":
        """Of these networks; one given twice counts once."""
        members = tuple(sorted(set(specs), key=lambda spec: _order(str(spec))))
        return cls(_named([str(spec) for spec in members]), members)

    @property
    def couples_images(self) -> bool:
        """True if any of them does (`networks.couples_images`)."""
        return any(networks.couples_images(spec) for spec in self.members)

    def draw(self, seed: int, number: int) -> Spec:
        """Which of them the random network of that number is, in a run of that seed."""
        if len(self.members) == 1:
            return self.members[0]
        stream = generator(seed, "family", number)
        return self.members[int(torch.randint(len(self.members), (), generator=stream))]

    def require(self, shape: tuple[int, int, int]) -> None:
        """Check that each of them sees something of images of `shape` (C, H, W).

        Raises:
            Mistake: one does not; the message names it.
        """
        for spec in self.members:
            if blind(spec, shape):
                size = f"{shape[1]}x{shape[2]}"
                raise Mistake(
                    f"network '{spec}' sees nothing of {size} pixels: its poolings leave a single "
                    "one to a later block, of which instance norm leaves nothing; give "
                    "--method.network less depth, another norm or nopool"
                )


@functools.lru_cache(maxsize=64)
def parse(name: str) -> Pattern:
    """The networks that a name with alternatives in braces spells; one spelled twice counts once.

    Raises:
        Mistake: braces that do not match, an empty alternative, too many networks, or one that
            there is not.
    """
    return Pattern.of(networks.parse(spelled) for spelled in _spelled(name))


@functools.cache
def blind(spec: Spec, shape: tuple[int, int, int]) -> bool:
    """Whether nothing of images of `shape` (C, H, W) is left at a network's end.

    That is where an instance norm is given single pixels. Nothing is computed.
    """
    if spec.norm != "instance":
        return False
    family = importlib.import_module(type(spec).__module__)
    with torch.device("meta"):
        maps, _ = family.Network(spec, shape, 1).layers(torch.empty(2, *shape))
    return any(math.prod(features.shape[2:]) == 1 for features in maps)


def _spelled(name: str) -> list[str]:
    """All plain names that a pattern stands for."""
    pieces = re.split(r"\{([^{}]*)\}", name)  # outside, inside, outside, ...
    choices = [part.split(",") if place % 2 else [part] for place, part in enumerate(pieces)]
    if any(brace in part for part in pieces for brace in "{}"):
        raise Mistake(
            f"network '{name}': its braces do not match; give alternatives as in d{{2,3}}, not one "
            "within another"
        )
    if any("" in alternatives for alternatives in choices[1::2]):
        raise Mistake(f"network '{name}' has an empty alternative; leave out a comma or the braces")
    count = math.prod(map(len, choices))
    if count > MOST:
        raise Mistake(f"network '{name}' stands for {count} networks; give at most {MOST}")
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _order(name: str) -> list[tuple[str, int]]:
    """By what names are sorted: words by letters, numbers by size."""
    return [_halves(part) for part in name.split("-")]


def _halves(part: str) -> tuple[str, int]:
    """`w32` to ("w", 32), `instance` to ("instance", 0)."""
    letters = part.rstrip("0123456789")
    return letters, int(part[len(letters) :] or 0)


def _named(names: list[str]) -> str:
    """The one name of the pattern of these names, in order: by its parts, if it is a product."""
    rows = [name.split("-") for name in names]
    if len({len(row) for row in rows}) == 1:
        columns = [sorted(set(column), key=_halves) for column in zip(*rows, strict=True)]
        if math.prod(map(len, columns)) == len(rows):
            return "-".join(_column(column) for column in columns)
    return "{" + ",".join(names) + "}"


def _column(parts: list[str]) -> str:
    """Alternatives in braces, the letters that begin all of them before: `w{16,32}`."""
    if len(parts) == 1:
        return parts[0]
    first = {_halves(part)[0] for part in parts}
    shared = first.pop() if len(first) == 1 else ""
    return f"{shared}{{{','.join(part[len(shared) :] for part in parts)}}}"
