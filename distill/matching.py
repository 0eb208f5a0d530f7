"""Statistic matching: the one loop that DataDAM and DM share.

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

from distill.augment import Draw, augment, draw
from distill.health import Health
from distill.images import ImageSet
from distill.mistake import Mistake, unknown
from distill.networks import ConvNet, build, initialise, parse
from distill.progress import Progress
from distill.seeding import generator
from distill.synthetic import SyntheticSet, made_by, require_ipc


class Vectors(NamedTuple):
    """One term of a statistic: its name, its weight in the loss, and [B, D], a row an image."""

    name: str
    weight: float
    rows: Tensor


Statistic = Callable[[ConvNet, Tensor], list[Vectors]]
"""From a network and normalised images [B, C, H, W] to the terms of the loss."""

ACTIVATIONS = {"cpu": 2**21, "cuda": 2**28}
"""How many numbers one layer's activations may have at a time: a few images of 32x32 at width 128
stay in a CPU's cache; a GPU wants much. It bounds the memory of both sides."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What every matching method is told.

    Attributes:
        network: name of the random networks (`distill.networks.parse`). Batch norm couples the
            classes: then a class's images depend on the classes it is distilled with.
        networks: K > 0 draws K random networks once, each with its augmentation and its real
            images, and buys the targets from them; 0 draws all afresh at every step, as published.
        real_batch: real images per class for each target; a smaller class gives all it has.
        iterations: steps on the synthetic images.
        rate: learning rate of the image optimiser, SGD.
        momentum: of the image optimiser.
        start: images begin as `real` images of their class or as `noise`.
        augmented: DSA, the same draw for a class's real and synthetic images.
        compiled: the real side through torch.compile, which needs a C++ compiler and about a
            minute first: for long runs with fresh networks. Rounding changes.
    """

    network: str = "convnet-d3-w128-instance-relu-avg"
    networks: int = 0
    real_batch: int = 128
    iterations: int = 8000
    rate: float = 1.0
    momentum: float = 0.5
    start: str = "real"
    augmented: bool = True
    compiled: bool = False

    @property
    def couples_classes(self) -> bool:
        """True if a class's images depend on the classes distilled with it."""
        return parse(self.network).norm == "batch"


def match(
    method: str,
    statistic: Statistic,
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> SyntheticSet:
    """Learn `ipc` images for every class present in `real`.

    Returns:
        The set, ordered by class id: images [classes * ipc, C, H, W].

    Raises:
        Mistake: ipc below 1 or above the smallest class, an unknown network or start, a number
            that cannot be, or a loss that is no longer finite.
    """
    require_ipc(real, ipc)
    for name, least in (("networks", 0), ("real_batch", 1), ("iterations", 0)):
        if getattr(config, name) < least:
            flag = name.replace("_", "-")
            raise Mistake(f"--method.{flag} {getattr(config, name)}: give {least} or more")
    run = Run(statistic, real, config, seed, device)
    images = run.first_images(ipc).requires_grad_()
    if config.compiled:
        run.compile(progress.say)
    optimiser = torch.optim.SGD([images], lr=config.rate, momentum=config.momentum)
    if config.networks:
        progress.start("targets", config.networks)
        for k in range(config.networks):
            run.bought[k] = run.target(k)
            progress.advance()
    health = Health(config.iterations, window=max(config.networks, 1), say=progress.say)
    progress.start(f"{method} steps", config.iterations)
    for step in range(config.iterations):
        optimiser.zero_grad()
        loss, terms = run.backward(images, step)
        if not math.isfinite(loss):
            raise Mistake(f"the loss is {loss} at step {step + 1}; give a lower --method.rate")
        optimiser.step()
        maps = {v.name: v.rows for v in terms if v.name.startswith("attention")}
        health.watch(step, loss, images.detach(), maps)
        progress.advance(note=f"loss {loss / len(real.present):.4g} a class")
    pixels = real.normalisation.inverse(images.detach().flatten(0, 1))
    labels = torch.tensor(real.present).repeat_interleave(ipc)
    return made_by(method, real, ipc=ipc, config=config, seed=seed, images=pixels, labels=labels)


class Target(NamedTuple):
    """What one random network asks of the synthetic images."""

    draws: Draw  # of G classes
    means: list[Tensor]  # one [G, D] a term


class Run:
    """The parts of one distillation that do not change from step to step."""

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
        self.pixels = [real.of_class(label).to(device) for label in real.present]
        self.normalisation = real.normalisation.to(device)
        spec = parse(config.network)
        first = generator(seed, "network", 0)
        self.network = build(spec, real.shape, classes=len(real.classes), generator=first)
        self.network.to(device, dtype).requires_grad_(False)
        self.bought: dict[int, Target] = {}
        largest = spec.width * math.prod(real.shape[1:])
        most = ACTIVATIONS.get(device.type, ACTIVATIONS["cuda"])
        self.chunk = sys.maxsize if config.couples_classes else max(1, most // largest)

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

    def first_images(self, ipc: int) -> Tensor:
        """[classes, ipc, C, H, W], normalised."""
        starts = {"real": self._real_start, "noise": self._noise_start}
        if self.config.start not in starts:
            raise unknown("start", self.config.start, starts)
        drawn = [
            starts[self.config.start](pixels, ipc, generator(self.seed, "start", label))
            for label, pixels in zip(self.real.present, self.pixels, strict=True)
        ]
        return torch.stack(drawn).to(self.device, self.dtype)

    def _real_start(self, pixels: Tensor, ipc: int, stream: torch.Generator) -> Tensor:
        chosen = torch.randperm(len(pixels), generator=stream)[:ipc]
        return self.normalisation(pixels[chosen])

    def _noise_start(self, pixels: Tensor, ipc: int, stream: torch.Generator) -> Tensor:
        return torch.randn(ipc, *self.real.shape, generator=stream)

    def settle(self, k: int) -> None:
        """Make the network the k-th random one. It depends on the seed and on k alone."""
        initialise(self.network, generator=generator(self.seed, "network", k))

    def target(self, k: int) -> Target:
        """Draw for network k, and the class means of the real images in it."""
        self.settle(k)
        streams = [generator(self.seed, "target", k, label) for label in self.real.present]
        draws = draw(streams).to(torch.empty(0, device=self.device, dtype=self.dtype))
        return Target(draws, self._class_means(streams, draws))

    @torch.no_grad()
    def _class_means(self, streams: list[torch.Generator], draws: Draw) -> list[Tensor]:
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

    def _real_images(self, chunk: list[tuple[int, Tensor]], draws: Draw) -> Tensor:
        """Images [B, C, H, W] of a chunk as the network is to see them."""
        pixels = torch.cat([self.pixels[c][part] for c, part in chunk])
        images = self.normalisation(pixels).to(self.dtype)
        if not self.config.augmented:
            return images
        pieces = images.split([len(part) for _, part in chunk])
        return torch.cat(
            [
                augment(piece[None], draws.of(slice(c, c + 1)))[0]
                for (c, _), piece in zip(chunk, pieces, strict=True)
            ]
        )

    def backward(self, images: Tensor, step: int) -> tuple[float, list[Vectors]]:
        """Add the gradient of the loss at `step` to `images.grad`; images [G, ipc, C, H, W].

        Returns:
            The loss, summed over the classes, and the terms of the last classes seen.
        """
        if self.config.networks:
            k = step % self.config.networks
            target = self.bought[k]
            self.settle(k)
        else:
            target = self.target(step)
        total = images.new_zeros(())
        gradients = []
        for classes in self._groups(images):
            view = images.detach()[classes].requires_grad_()
            batch = augment(view, target.draws.of(classes)) if self.config.augmented else view
            terms = self.statistic(self.network, batch.flatten(0, 1))
            loss = images.new_zeros(())
            for vectors, mean in zip(terms, target.means, strict=True):
                own = vectors.rows.view(*batch.shape[:2], -1).mean(1)
                loss = loss + vectors.weight * (own - mean[classes]).square().sum()
            gradients += torch.autograd.grad(loss, view)
            total += loss.detach()
        gradient = torch.cat(gradients)
        images.grad = gradient if images.grad is None else images.grad + gradient
        return total.item(), [v._replace(rows=v.rows.detach()) for v in terms]

    def _groups(self, images: Tensor) -> Iterator[slice]:
        """All classes, as many at a time as fit."""
        classes, ipc = images.shape[:2]
        at_once = max(1, self.chunk // ipc)
        for first in range(0, classes, at_once):
            yield slice(first, first + at_once)
