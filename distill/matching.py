"""Statistic matching: the objective that DataDAM and DM share.

A statistic maps a network and a batch to vectors, one an image; the loss is the weighted squared
distance between the class means of the real and of the synthetic batch, summed over the classes.
The real side enters through class means alone, so it needs no gradients and runs in chunks.

With any norm but batch norm the loss is a sum over classes, given the random network and the
augmentation drawn for each class. Every class draws from streams of its own, and its images pass
through the network in pieces of a shape of their own (`distill.pieces`). So they do not depend on
which other classes are distilled with them, to the last bit.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from distill import formation, learn
from distill.augment import Draw, augment, draw
from distill.checkpoints import NONE, Checkpoints
from distill.drawing import RealImages
from distill.images import ImageSet
from distill.learn import Step
from distill.networks import Network, build, couples_images, initialise, parse, size
from distill.pieces import Pieces, even, filled
from distill.runtime.compute import FLOAT32, Compute
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator


class Vectors(NamedTuple):
    """One term of a statistic: its name, its weight in the loss, and [B, D], a row an image."""

    name: str
    weight: float
    rows: Tensor


Statistic = Callable[[Network, Tensor], list[Vectors]]
"""From a network and normalised images [B, C, H, W] to the terms of the loss."""

WORTH_COMPILING = 1e12
"""FLOPs that one class costs from which on the compiler's 10 to 25 seconds come back."""
LONG = 1000
"""Steps that a run is taken to have: one of fewer may be the beginning of one of more, and must
round as that does."""


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
    """

    network: str = "convnet-d3-w128-instance-relu-avg"
    networks: int = 0
    real_batch: int = 128
    augmented: bool = True

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
    checkpoints: Checkpoints = NONE,
) -> Tensor:
    """Learn `ipc` images for every class present in `real` by matching `statistic`.

    Returns:
        float32 [G, ipc, C, H, W] in pixel units, ordered by class id.

    Raises:
        Mistake: what `learn.learn` raises.
    """
    objective = Matching(statistic, real, ipc, config=config, seed=seed, compute=compute)
    return learn.learn(
        objective,
        real,
        ipc,
        config=config,
        seed=seed,
        device=compute.device,
        progress=progress,
        checkpoints=checkpoints,
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
        ipc: int,
        *,
        config: Config,
        seed: int,
        compute: Compute,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.statistic = self.real_side = self.synthetic_side = statistic
        self.real, self.config = real, config
        self.seed, self.compute, self.dtype = seed, compute, dtype
        self.window = max(config.networks, 1)
        device = self.device = compute.device
        self.normalisation = real.normalisation.to(device)
        self.images = RealImages(
            real,
            batch=config.real_batch,
            times=config.networks or LONG,
            device=device,
            dtype=dtype,
        )
        self.operations = real.about.operations if config.augmented else ()
        spec, classes = parse(config.network), len(real.classes)
        first = generator(seed, "network", 0)
        self.network = build(spec, real.shape, classes=classes, generator=first)
        self.network.to(device, dtype).requires_grad_(False)
        self.bought: dict[int, Target] = {}
        self.flops = size(spec, real.shape, classes)[1]
        self.compiled_images: int | None = None
        numbers = spec.width * math.prod(real.shape[1:])
        shown = ipc * config.formation**2
        pieces = Pieces.of(shown, numbers=numbers, flops=self.flops, device=device.type)
        coupled = config.couples_classes
        self.pieces = pieces._replace(classes=len(real.present)) if coupled else pieces

    def prepare(self, progress: Progress) -> None:
        """Compile what is worth it, and buy the targets."""
        self._compile(progress.say)
        if self.config.networks:
            progress.start("targets", self.config.networks)
            weights = list(self.network.parameters())
            nbytes = sum(parameter.nbytes for parameter in weights)
            for k in range(self.config.networks):
                target = self.target(k)
                if (k + 1) * nbytes <= KEPT:
                    target = target._replace(weights=[w.clone() for w in weights])
                self.bought[k] = target
                progress.advance()

    def _compile(self, say: Callable[[str], None]) -> None:
        """Fuse the operations of either side where one class's share of the work is worth it.

        In float32 the synthetic side gains nothing (measured: a tenth slower at width 128).
        """
        config, always = self.config, self.compute.compile == "always"
        if self.compute.compile == "never" or config.couples_classes:
            return
        real = (config.networks or LONG) * config.real_batch * self.flops
        synthetic = 3 * LONG * self.pieces.shown * self.flops
        low = self.compute.precision != FLOAT32
        if always or real >= WORTH_COMPILING:
            self.compiled_images = even(config.real_batch, self.pieces.images)
            self.real_side = self._compiled(self.compiled_images, say, learning=False)
        if always or (low and synthetic >= WORTH_COMPILING):
            images = self.pieces.classes * self.pieces.shown
            self.synthetic_side = self._compiled(images, say, learning=True)

    def _compiled(self, images: int, say: Callable[[str], None], *, learning: bool) -> Statistic:
        """The statistic through torch.compile; where that fails, `say` so and go on without."""
        fused = torch.compile(self.statistic, dynamic=False)
        example = torch.zeros(images, *self.real.shape, device=self.device, dtype=self.dtype)
        example.requires_grad_(learning)
        try:
            with torch.set_grad_enabled(learning):
                terms = self._terms(fused, example)
            if learning:
                torch.autograd.grad(sum(v.rows.sum() for v in terms), example)
        except Exception as failure:  # whatever the compiler of this machine raises
            reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
            say(f"torch.compile fails here, so it is left out: {reason}")
            return self.statistic
        return fused

    def _terms(self, statistic: Statistic, images: Tensor) -> list[Vectors]:
        """A statistic of images [B, C, H, W] in the run's precision; its rows in full."""
        with self.compute.autocast():
            terms = statistic(self.network, images)
        return [v._replace(rows=v.rows.to(self.dtype)) for v in terms]

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
        images = [self.images.draw(c, stream, draws) for c, stream in enumerate(streams)]
        if self.config.couples_classes:
            terms = self._terms(self.real_side, torch.cat(images))
            split = [v.rows.split([len(part) for part in images]) for v in terms]
            return [torch.stack([rows.mean(0) for rows in parts]) for parts in split]
        means = [self._mean(part) for part in images]
        return [torch.stack(term) for term in zip(*means, strict=True)]

    def _mean(self, images: Tensor) -> list[Tensor]:
        """The mean [D] of each term over one class's images [n, C, H, W], in pieces."""
        sums: list[Tensor | float] = []
        count = self.compiled_images or even(len(images), self.pieces.images)
        for piece in images.split(count):
            terms = self._terms(self.real_side, filled(piece, count))
            parts = [v.rows[: len(piece)].sum(0) for v in terms]
            sums = [a + b for a, b in zip(sums or [0.0] * len(parts), parts, strict=True)]
        return [total / len(images) for total in sums]

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
        for first in range(0, len(images), self.pieces.classes):
            classes = slice(first, first + self.pieces.classes)
            part = images.detach()[classes]
            view = filled(part, self.pieces.classes).clone().requires_grad_()
            loss, terms = self._loss(view, len(part), classes, target)
            gradients += [torch.autograd.grad(loss, view)[0][: len(part)]]
            total += loss.detach()
        real = len(part) * self.pieces.shown  # the others fill the piece up
        maps = {v.name: v.rows[:real].detach() for v in terms if v.name.startswith("attention")}
        return Step(total.item(), torch.cat(gradients), maps)

    def _loss(
        self, view: Tensor, count: int, classes: slice, target: Target
    ) -> tuple[Tensor, list[Vectors]]:
        """Of the first `count` classes in view [g, ipc, C, H, W]: the loss [] and all terms."""
        batch = formation.shown(view, self.config.formation, self.normalisation)
        if target.draws is not None:
            batch = augment(batch, target.draws.of(classes).filled(len(view)))
        terms = self._terms(self.synthetic_side, batch.flatten(0, 1))
        loss = view.new_zeros(())
        for vectors, mean in zip(terms, target.means, strict=True):
            own = vectors.rows.view(*batch.shape[:2], -1).mean(1)
            loss = loss + vectors.weight * (own[:count] - mean[classes]).square().sum()
        return loss, terms
