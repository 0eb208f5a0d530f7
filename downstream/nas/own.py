"""A user's own space: the networks of a file of theirs (`downstream.nas.source`)."""

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import FlopCounterMode

from distill.networks import parse
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator
from downstream.nas.source import SpaceFile, explained, model_space, seeded
from downstream.nas.space import ConvNets, Space

WORD = r"[\w.+\-]{1,24}"
"""Options of this form are named by their text, others by their place."""
LISTED = 100_000
"""A larger space is not listed for its sample: its points are drawn one by one, and no more."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """A network of such a space.

    Attributes:
        choices: the label of every mutable, in order, and the text of the option chosen.
    """

    choices: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, point: Mapping[str, str]) -> "Spec":
        """The network of a point; nothing is executed."""
        return cls(tuple(sorted(point.items())))

    def __str__(self) -> str:
        """`conv=3,width=16`."""
        return ",".join(f"{label}={option}" for label, option in self.choices)

    @property
    def norm(self) -> str:
        """What a network does with a batch is not known, so that it is never taken apart."""
        return "batch"


class Network(nn.Module):
    """A network of a user's own, under its name.

    Attributes:
        own: the user's module, from images [B, C, H, W] to logits [B, classes]; None until its
            weights are drawn: NNI asks for networks while a sample of its own is being built.
    """

    own: nn.Module | None

    def __init__(self, spec: Spec, space: "Own") -> None:
        super().__init__()
        self.spec, self._space, self.own = spec, space, None

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], normalised, to logits [B, classes]."""
        return self.own(images)

    def draw(self, generator: torch.Generator) -> None:
        """Build the user's module anew, which draws its weights as its constructor does."""
        self.own = self._space.module(self.spec, seed=generator.initial_seed())


@dataclasses.dataclass(frozen=True)
class Own(Space):
    """The `Space` of a user's file.

    Attributes:
        shape: (C, H, W) of an image. classes: how many.
    """

    source: SpaceFile
    shape: tuple[int, int, int]
    classes: int

    @property
    def name(self) -> str:
        """The file's name and the beginning of its digest."""
        return self.source.label

    @property
    def axes(self) -> Mapping[str, tuple[str, ...]]:
        """The options of every mutable by their texts, by its label."""
        return {label: tuple(options) for label, options in self._options.items()}

    @property
    def _options(self) -> Mapping[str, Mapping[str, Any]]:
        return _options(self)

    @property
    def total(self) -> int:
        """The product of the numbers of options."""
        return math.prod(map(len, self._options.values()))

    def sample(self, count: int) -> list[Spec]:
        """The first `count` of one fixed shuffle of all points."""
        stream = generator(0, "nas sample", self.source.digest)
        options = [[(label, text) for text in texts] for label, texts in self._options.items()]
        if self.total <= LISTED:
            every = list(itertools.product(*options))
            return [Spec(every[i]) for i in torch.randperm(len(every), generator=stream)[:count]]
        drawn: dict[Spec, None] = {}
        while len(drawn) < count:
            places = [int(torch.randint(len(some), (), generator=stream)) for some in options]
            drawn[Spec(tuple(some[i] for some, i in zip(options, places, strict=True)))] = None
        return list(drawn)

    def parse(self, name: str) -> Spec:
        """The network of that name."""
        return Spec.of(choices_in(name))

    def spec(self, point: Mapping[str, str]) -> Spec:
        """The network of a point."""
        return Spec.of(point)

    def point(self, spec: Spec) -> dict[str, str]:
        """The text of the option chosen, by label."""
        return dict(spec.choices)

    def build(self, spec: Spec) -> Network:
        """The network, still without weights."""
        return Network(spec, self)

    def size(self, spec: Spec) -> tuple[int, int]:
        """Parameters, and FLOPs of one image's forward pass (a multiply-add counts as two).

        Raises:
            Mistake: it cannot be built for such images, or does not give a number a class.
        """
        return _size(self, spec)

    def symbol(self) -> dict[str, str]:
        """The file."""
        return dataclasses.asdict(self.source)

    def module(self, spec: Spec, *, seed: int) -> nn.Module:
        """The user's module of a network; its constructor draws from the process's generators."""
        from nni.nas.space import model_context

        sample = {label: self._options[label][text] for label, text in spec.choices}
        with seeded(seed), model_context(sample):
            return _constructed(self)


def opened(symbol: Any, shape: tuple[int, int, int], classes: int) -> Space:
    """The space that `Space.symbol` stands for."""
    if isinstance(symbol, str):
        return ConvNets(symbol, shape, classes)
    return Own(SpaceFile(**symbol), shape, classes)


def choices_in(name: str) -> dict[str, str]:
    """The options chosen by label, from a network's name."""
    return dict(part.split("=", 1) for part in name.split(","))


@functools.lru_cache(maxsize=10_000)
def axes_of(name: str) -> Mapping[str, str]:
    """The options chosen by axis, from the name of a network of any space; nothing is executed."""
    if "=" in name:
        return choices_in(name)
    return {axis: str(option) for axis, option in dataclasses.asdict(parse(name)).items()}


# ------------------------------------------------------------------ the user's class


def _constructed(space: Own) -> nn.Module:
    """The class, with (shape, classes) if its constructor takes two arguments, else with none."""
    made = model_space(space.source)
    code = made._init_wrapped.__code__ if made._init_wrapped else made.__init__.__code__
    return made(space.shape, space.classes) if code.co_argcount > 2 else made()


@functools.lru_cache(maxsize=8)
def _options(space: Own) -> dict[str, dict[str, Any]]:
    """What each mutable may be, by its label and by the text of the option.

    Raises:
        Mistake: the class cannot be constructed, has no mutable or one that has no list of options.
    """
    from nni.mutable import Categorical

    source = space.source
    with explained(source, f"cannot be constructed for images of {_pixels(space)}"), seeded(0):
        mutables = _constructed(space).simplify()
    if not mutables:
        raise Mistake(
            f"--space {source.name} offers no choice; give it a LayerChoice or nni.choice"
        )
    for label, mutable in mutables.items():
        if not isinstance(mutable, Categorical):
            raise Mistake(
                f"--space {source.name}: '{label}' is a {type(mutable).__name__}; only choices of "
                "one option from a list can be ranked: give nni.choice or a LayerChoice"
            )
        if re.search("[,=]", label):
            raise Mistake(f"--space {source.name}: the label '{label}' holds , or =; rename it")
    return {label: _texts(mutables[label].values) for label in sorted(mutables)}


def _texts(values: list[Any]) -> dict[str, Any]:
    """The options by their texts; by their places, from 0, where those are no words."""
    texts = [str(value) for value in values]
    if len(set(texts)) < len(texts) or not all(re.fullmatch(WORD, text) for text in texts):
        texts = [f"option{place}" for place in range(len(values))]
    return dict(zip(texts, values, strict=True))


@functools.lru_cache(maxsize=10_000)
def _size(space: Own, spec: Spec) -> tuple[int, int]:
    """See `Own.size`; there and back once, so that a trial will not fail for its network."""
    network, images = space.build(spec), torch.zeros(2, *space.shape)
    with explained(space.source, f"{spec} cannot be built for images of {_pixels(space)}"):
        network.draw(generator(0))
        if not list(network.parameters()) or any(map(is_lazy, network.parameters())):
            raise TypeError("it has no weights, or lazy layers without a number of channels")
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            logits = network.eval()(images)
    wanted = (2, space.classes)
    if not isinstance(logits, Tensor) or logits.shape != wanted:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise Mistake(
            f"--space {space.source.name}: {spec} makes {got} of 2 images, not {wanted}: a number "
            "a class; take (shape, classes) in its constructor, and return logits"
        )
    with explained(space.source, f"{spec} cannot be trained on images of {_pixels(space)}"):
        network.train()(images).sum().backward()
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


def _pixels(space: Own) -> str:
    return "x".join(map(str, space.shape))
