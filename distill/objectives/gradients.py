"""Gradient matching: the objective that DC and DSA share.

Zhao, Mopuri and Bilen, "Dataset Condensation with Gradient Matching", ICLR 2021. For each class the
gradients of the training loss with respect to a network's weights shall be the same for the real
and for the synthetic images of that class. The distance of two gradients is summed over the layers
and over the output units i of each: 1 - cos(A_i, B_i), A_i and B_i being the weights' gradients of
that unit. So the synthetic side is differentiated twice.

Every class passes through the network by itself and draws from streams of its own. So its images do
not depend on which other classes are made with it, to the last bit; unless the network is trained
on the images of all classes between two steps, as published for 10 and 50 images a class.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from distill import formation, learn, pattern
from distill.augment import Draw, augment, draw
from distill.checkpoints import NONE, Checkpoints
from distill.drawing import RealImages
from distill.images import ImageSet
from distill.learn import Step
from distill.networks import Spec
from distill.objectives.copies import Copies
from distill.objectives.matching import LONG
from distill.runtime.compute import Compute
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.seeding import derive, generator
from distill.settings import require
from distill.training.pieces import even
from distill.training.recipes import Recipe
from distill.training.train import ADVICE, Diverged, fit


@dataclasses.dataclass(frozen=True)
class Config(learn.Config):
    """What gradient matching is told besides.

    Attributes:
        network: name of the random networks, or of a pattern from which each is drawn. Batch norm
            is refused: it would see one class at a time.
        outer_loop: steps on the images in each network; then comes a fresh one.
        inner_loop: passes over all synthetic images by which the network is trained between two of
            these steps. That couples the classes. With 0 it stays as it was drawn, and so do its
            real images and its augmentation: the gradients of the real images are taken once.
        network_rate: learning rate of that training, SGD without momentum, batches of 256.
        real_batch: real images per class for each gradient; a smaller class gives all it has.
    """

    iterations: int = 1000
    rate: float = 0.1
    network: str = "convnet-d3-w128-instance-relu-avg"
    outer_loop: int = 1
    inner_loop: int = 0
    network_rate: float = 0.01
    real_batch: int = 256

    compiles: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        networks = pattern.parse(self.network)
        object.__setattr__(self, "network", networks.name)  # one network, one name
        if networks.couples_images:
            raise Mistake(
                f"--method.network {self.network}: gradients are matched a class at a time, and "
                "batch norm would see that class alone; give another norm"
            )
        require(self, "outer_loop", least=1, most=1_000_000)
        require(self, "inner_loop", least=0, most=1_000_000)
        require(self, "network_rate", above=0)
        require(self, "real_batch", least=1, most=1_000_000)

    @property
    def couples_classes(self) -> bool:
        """True if networks are trained, which is on the images of all classes."""
        return self.outer_loop > 1 and self.inner_loop > 0

    @property
    def unit(self) -> int:
        """A network that is trained is no part of a checkpoint: one is made where it ends."""
        return self.outer_loop if self.couples_classes else 1

    @property
    def remedy(self) -> str:
        """As of pixels; the training of a network has a rate of its own."""
        own = f", or a lower --method.network-rate than {self.network_rate}"
        return super().remedy + own * self.couples_classes


def match_gradients(
    real: ImageSet,
    ipc: int,
    *,
    augmented: bool,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
) -> Tensor:
    """Learn `ipc` images for every class present in `real` by matching gradients.

    Args:
        augmented: DSA, the same draw for a class's real and synthetic images.

    Returns:
        float32 [G, ipc, C, H, W] in pixel units, ordered by class id.

    Raises:
        Mistake: what `learn.learn` raises, or the training of a network diverges.
    """
    operations = real.about.operations if augmented else ()
    return learn.learn(
        Gradients(operations, real, config=config, seed=seed, compute=compute),
        real,
        ipc,
        config=config,
        seed=seed,
        device=compute.device,
        progress=progress,
        checkpoints=checkpoints,
    )


def distance(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """[G]: of gradients [G, units, D], summed over the layers and their output units.

    The paper's equation. The released code adds 1e-6 to the product of the two lengths, which is
    felt in networks that are trained, whose gradients are short.
    """
    layers = zip(ours, theirs, strict=True)
    return sum((1 - F.cosine_similarity(a, b, dim=2)).sum(1) for a, b in layers)


class Gradients:
    """The objective: gradients of the training loss, in random networks.

    In bfloat16 are the real images' side and the training of networks. The synthetic side stays
    float32: bfloat16 saves no time in it (measured on a CPU), and what is differentiated twice then
    differs by a sixth.
    """

    def __init__(
        self,
        operations: Sequence[str],
        real: ImageSet,
        *,
        config: Config,
        seed: int,
        compute: Compute,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.operations, self.real, self.config = tuple(operations), real, config
        self.seed, self.compute, self.dtype = seed, compute, dtype
        self.window = config.outer_loop
        self.pattern = pattern.parse(config.network)
        self.pattern.require(real.shape)
        self.images = RealImages(
            real,
            batch=config.real_batch,
            times=LONG,
            device=compute.device,
            dtype=dtype,
        )
        self.shown = formation.Shown(config.formation, self.images.normalisation, real.shape)
        self.spec: Spec | None = None  # of the network that is built
        self.number = -1  # of the network that is drawn
        self.done = -1  # the last step

    def prepare(self, progress: Progress) -> None:
        """There is nothing to prepare."""

    def step(self, images: Tensor, number: int) -> Step:
        """The loss at step `number`, summed over the classes; images [G, ipc, C, H, W].

        Steps in a network that is trained follow each other, from its first.
        """
        images, trained = images.detach(), self.config.couples_classes
        k, place = divmod(number, self.config.outer_loop)
        if self.number != k:
            assert not (trained and place), "it has not been trained"
            self._draw(k)
            self._aim(number if trained else k)
        elif trained:
            assert number == self.done + 1, "it has been trained on other images"
            self._train(images, number)
            self._aim(number)
        self.done = number
        places = range(0, len(images), self.copies.together)
        parts = [self._matched(images, first) for first in places]
        return Step(sum(loss for loss, _ in parts), torch.cat([own for _, own in parts]), {})

    def _draw(self, k: int) -> None:
        """Take the random network of that number; it depends on the seed and on `k` alone."""
        spec = self.pattern.draw(self.seed, k)
        if spec != self.spec:
            self.copies = Copies(
                spec,
                self.real.shape,
                classes=len(self.real.classes),
                device=self.compute.device,
                dtype=self.dtype,
            )
        self.spec, self.number = spec, k
        self.copies.settle(self.seed, k)

    def _aim(self, number: int) -> None:
        """Draw for target `number`, and take the gradients of the real images in the network."""
        streams = [generator(self.seed, "target", number, label) for label in self.real.present]
        self.draws: Draw | None = None
        if self.operations:
            like = torch.empty(0, device=self.compute.device, dtype=self.dtype)
            self.draws = draw(streams, self.operations).to(like)
        targets = []
        for c, stream in enumerate(streams):
            images = self.images.draw(c, stream, self.draws)[None]
            label, count = [self.real.present[c]], images.shape[1]
            pieces = images.split(even(count, self.copies.most(1)), dim=1)
            with self.compute.autocast():
                parts = [self.copies.gradients(piece, label, count=count) for piece in pieces]
            targets.append(_sum(parts))
        self.targets = [torch.cat(layer) for layer in zip(*targets, strict=True)]

    def _matched(self, images: Tensor, first: int) -> tuple[float, Tensor]:
        """Loss and gradient of the classes from number `first` on that pass together.

        With g the sum of the pieces' gradients and D the distance, dD/dx is d(g . v)/dx at v =
        dD/dg: so the images can be differentiated twice piece by piece.
        """
        together, own = self.copies.together, slice(first, first + self.copies.together)
        count = len(images[own])
        fill = torch.arange(together)
        fill[count:] = 0  # the first class fills the places of those that lack
        stored = images[own][fill].requires_grad_()
        shown = self.shown(stored)
        if self.draws is not None:
            shown = augment(shown, self.draws.of(own).filled(together))
        batch, total = shown.detach().requires_grad_(), shown.shape[1]
        labels = [self.real.present[first + place] for place in fill.tolist()]
        of = functools.partial(self.copies.gradients, labels=labels, count=total)
        pieces = batch.split(even(total, self.copies.most(together)), dim=1)
        once = len(pieces) == 1
        parts = [of(piece, twice=once) for piece in pieces]
        ours = [layer.requires_grad_() for layer in _sum(parts)]
        loss = distance(ours, [layer[own][fill] for layer in self.targets])[:count].sum()
        towards = torch.autograd.grad(loss, ours)
        inner = []
        for piece in pieces:
            part = parts[0] if once else of(piece, twice=True)
            inner.append(torch.autograd.grad(part, piece, towards)[0])
        (gradient,) = torch.autograd.grad(shown, stored, torch.cat(inner, 1))
        return loss.item(), gradient[:count]

    def _train(self, images: Tensor, number: int) -> None:
        """The inner loop: train the network on the images [G, ipc, C, H, W] of the moment.

        Raises:
            Diverged: a loss is not finite.
        """
        shown = self.shown(images)
        labels = torch.tensor(self.real.present, device=images.device)
        recipe = Recipe(
            epochs=self.config.inner_loop,
            rate=self.config.network_rate,
            momentum=0.0,
            weight_decay=0.0,
            drop=1.0,
            operations=self.operations,
        )
        try:
            fit(
                [self.copies.network],
                shown.flatten(0, 1),
                labels.repeat_interleave(shown.shape[1]),
                recipe=recipe,
                seed=derive(self.seed, "inner loop", number),
                compute=dataclasses.replace(self.compute, compile="never"),
            )
        except Diverged as error:
            what = str(error).removesuffix(ADVICE)
            raise Diverged(f"after step {number} {what}; {self.config.remedy}") from error
        self.copies.spread()


def _sum(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Of the pieces' gradients, layer by layer."""
    return [sum(layer[1:], start=layer[0]).detach() for layer in zip(*parts, strict=True)]
