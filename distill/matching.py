"""Statistic matching: the objective that DataDAM and DM share.

A statistic maps a network and a batch to vectors, one an image; the loss is the weighted squared
distance between the class means of the real and of the synthetic batch, summed over the classes.
The real side enters through class means alone, so it needs no gradients and runs in chunks.

With any norm but batch norm the loss is a sum over classes, given the random network and the
augmentation drawn for each class. Every class draws from streams of its own, so its images do not
depend on which other classes are distilled with it.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from distill import learn
from distill.augment import Draw, augment, draw
from distill.formation import shown
from distill.images import ImageSet
from distill.learn import Step
from distill.networks import Network, build, couples_images, initialise, parse
from distill.runtime.compute import Compute
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator


class Vectors(NamedTuple):
    """One term of a statistic: its name, its weight in the loss, and [B, D], a row an image."""

    name: str
    weight: float
    rows: Tensor


Statistic = Callable[[Network, Tensor], list[Vectors]]
"""From a network and normalised images [B, C, H, W] to the terms of the loss."""

AT_ONCE = {"cpu": 2**21, "cuda": 2**28}
"""How many numbers one layer's activations may have at a time: a few images of 32x32 at width 128
stay in a CPU's cache; a GPU wants much. It bounds the memory of both sides."""


@dataclasses.dataclass(frozen=True)
class Config(learn.Config):
    """What every matching method is told besides.

    Attributes:
        network: name of the random networks (`distill.networks.parse`). Batch norm couples the
            classes: then a class's images depend on the classes it is distilled with.
        networks: K > 0 draws K random networks once, each with its augmentation and its real
            images, and buys the targets from them; 0 draws all afresh at every step, as published.
        real_batch: real images per class for each target; a smaller class gives all it has.
        augmented: DSA, the same draw for a class's real and synthetic images.
        compiled: the real side through torch.compile, which needs a C++ compiler and about a
            minute first: for long runs with fresh networks. Rounding changes.
    """

    network: str = "convnet-d3-w128-instance-relu-avg"
    networks: int = 0
    real_batch: int = 128
    augmented: bool = True
    compiled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "network", str(parse(self.network)))  # one network, one name
        learn.require(self, "networks", least=0)
        learn.require(self, "real_batch", least=1)

    @property
    def couples_classes(self) -> bool:
        """True if a class's images depend on the classes distilled with it."""
        return couples_images(parse(self.network))


def match(
    statistic: Statistic,
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
) -> Tensor:
    """Learn `ipc` images for every class present in `real` by matching `statistic`.

    Returns:
        float32 [G, ipc, C, H, W] in pixel units, ordered by class id.

    Raises:
        Mistake: what `learn.learn` raises.
    """
    objective = Matching(statistic, real, config, seed, compute.device)
    return learn.learn(
        objective,
        real,
        ipc,
        config=config,
        seed=seed,
        device=compute.device,
        progress=progress,
    )


KEPT = 2**28
"""Bytes that the weights of bought networks may take; others are drawn anew each time."""


class Target(NamedTuple):
    """What one random network asks of the synthetic images."""

    draws: Draw | None  # of G classes; None without augmentation
    means: list[Tensor]  # one [G, D] a term
    weights: list[Tensor] | None = None  # of the network, where they are kept


class Matching:
    """The objective: class means of a statistic, in random networks."""

    def __init__(
        self,
        statistic: Statistic,
        real: ImageSet,
        config: Config,
        seed: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.statistic, self.real_side = statistic, statistic
        self.real, self.config = real, config
        self.seed, self.device, self.dtype = seed, device, dtype
        self.window = max(config.networks, 1)
        self.pixels = [real.of_class(label).to(device) for label in real.present]
        self.normalisation = real.normalisation.to(device)
        self.operations = real.about.operations if config.augmented else ()
        spec = parse(config.network)
        first = generator(seed, "network", 0)
        self.network = build(spec, real.shape, classes=len(real.classes), generator=first)
        self.network.to(device, dtype).requires_grad_(False)
        self.bought: dict[int, Target] = {}
        largest = spec.width * math.prod(real.shape[1:])
        most = AT_ONCE.get(device.type, AT_ONCE["cuda"])
        self.chunk = sys.maxsize if config.couples_classes else max(1, most // largest)

    def prepare(self, progress: Progress) -> None:
        """Compile if that is asked for, and buy the targets."""
        if self.config.compiled:
            self.compile(progress.say)
        if self.config.networks:
            progress.start("targets", self.config.networks)
            weights = list(self.network.parameters())
            size = sum(parameter.nbytes for parameter in weights)
            for k in range(self.config.networks):
                target = self.target(k)
                if (k + 1) * size <= KEPT:
                    target = target._replace(weights=[w.clone() for w in weights])
                self.bought[k] = target
                progress.advance()

    @torch.no_grad()
    def compile(self, say: Callable[[str], None]) -> None:
        """Fuse the operations on the real images; where that fails, `say` so and go on without."""
        fused = torch.compile(self.statistic, dynamic=False)
        images = min(self.chunk, sum(self._counts()))
        try:
            fused(self.network, torch.zeros(images, *self.real.shape).to(self.device, self.dtype))
        except Exception as failure:  # whatever the compiler of this machine raises
            reason = str(failure).strip().splitlines()[0]
            say(f"torch.compile fails here, so it is left out: {reason}")
        else:
            self.real_side = fused

    def _counts(self) -> list[int]:
        """Real images that each class gives to a target."""
        return [min(len(pixels), self.config.real_batch) for pixels in self.pixels]

    def settle(self, k: int) -> None:
        """Make the network the k-th random one. It depends on the seed and on k alone."""
        initialise(self.network, generator=generator(self.seed, "network", k))

    @torch.no_grad()
    def _put(self, weights: list[Tensor]) -> None:
        """Make the network the one that has these weights: quicker than to draw them again."""
        for own, kept in zip(self.network.parameters(), weights, strict=True):
            own.copy_(kept)

    def target(self, k: int) -> Target:
        """Draw for network k, and the class means of the real images in it."""
        self.settle(k)
        streams = [generator(self.seed, "target", k, label) for label in self.real.present]
        draws = None
        if self.operations:
            like = torch.empty(0, device=self.device, dtype=self.dtype)
            draws = draw(streams, self.operations).to(like)
        return Target(draws, self._class_means(streams, draws))

    @torch.no_grad()
    def _class_means(self, streams: list[torch.Generator], draws: Draw | None) -> list[Tensor]:
        """The mean [G, D] of each term over the real images of every class."""
        sums: dict[int, list[Tensor]] = {}
        for chunk in self._real_chunks(streams):
            terms = self.real_side(self.network, self._real_images(chunk, draws))
            split = [v.rows.split([len(part) for _, part in chunk]) for v in terms]
            for (c, _), *rows in zip(chunk, *split, strict=True):
                before = sums.get(c, [0.0] * len(rows))
                sums[c] = [a + b.sum(0) for a, b in zip(before, rows, strict=True)]
        counted = torch.tensor(self._counts(), device=self.device, dtype=self.dtype)[:, None]
        return [torch.stack(term) / counted for term in zip(*sums.values(), strict=True)]

    def _real_chunks(self, streams: list[torch.Generator]) -> Iterator[list[tuple[int, Tensor]]]:
        """What passes through the network at a time: places of classes, and images of each."""
        chunk: list[tuple[int, Tensor]] = []
        room = self.chunk
        for c, (pixels, stream) in enumerate(zip(self.pixels, streams, strict=True)):
            chosen = torch.randperm(len(pixels), generator=stream)[: self.config.real_batch]
            for part in chosen.split(self.chunk):
                if len(part) > room:
                    yield chunk
                    chunk, room = [], self.chunk
                chunk.append((c, part))
                room -= len(part)
        yield chunk

    def _real_images(self, chunk: list[tuple[int, Tensor]], draws: Draw | None) -> Tensor:
        """Images [B, C, H, W] of a chunk as the network is to see them."""
        pixels = torch.cat([self.pixels[c][part] for c, part in chunk])
        images = self.normalisation(pixels).to(self.dtype)
        if draws is None:
            return images
        pieces = images.split([len(part) for _, part in chunk])
        return torch.cat(
            [
                augment(piece[None], draws.of(slice(c, c + 1)))[0]
                for (c, _), piece in zip(chunk, pieces, strict=True)
            ]
        )

    def step(self, images: Tensor, number: int) -> Step:
        """The loss at step `number`, summed over the classes; images [G, ipc, C, H, W]."""
        if self.config.networks:
            k = number % self.config.networks
            target = self.bought[k]
            if target.weights is None:
                self.settle(k)
            else:
                self._put(target.weights)
        else:
            target = self.target(number)
        total, gradients = images.new_zeros(()), []
        for classes in self._groups(images):
            view = images.detach()[classes].requires_grad_()
            loss, terms = self._loss(view, classes, target)
            gradients += torch.autograd.grad(loss, view)
            total += loss.detach()
        maps = {v.name: v.rows.detach() for v in terms if v.name.startswith("attention")}
        return Step(total.item(), torch.cat(gradients), maps)

    def _loss(self, view: Tensor, classes: slice, target: Target) -> tuple[Tensor, list[Vectors]]:
        """Of some classes' images [g, ipc, C, H, W]: the loss [] and the terms of the statistic."""
        batch = shown(view, self.config.formation, self.normalisation)
        if target.draws is not None:
            batch = augment(batch, target.draws.of(classes))
        terms = self.statistic(self.network, batch.flatten(0, 1))
        loss = view.new_zeros(())
        for vectors, mean in zip(terms, target.means, strict=True):
            own = vectors.rows.view(*batch.shape[:2], -1).mean(1)
            loss = loss + vectors.weight * (own - mean[classes]).square().sum()
        return loss, terms

    def _groups(self, images: Tensor) -> Iterator[slice]:
        """All classes, as many at a time as fit."""
        classes, ipc = images.shape[:2]
        at_once = max(1, self.chunk // (ipc * self.config.formation**2))
        for first in range(0, classes, at_once):
            yield slice(first, first + at_once)
