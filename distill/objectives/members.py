"""One network of a pattern, and how a statistic of images is taken in it."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.images import ImageSet
from distill.networks import Network, Spec, build, couples_images, initialise, size
from distill.runtime.compute import Compute
from distill.runtime.seeding import generator
from distill.training.compiled import fused
from distill.training.pieces import Pieces, even, filled


class Vectors(NamedTuple):
    """One term of a statistic: its name, its weight in the loss, and [B, D], a row an image.

    Attributes:
        logits: the rows are logits of the classes, and the synthetic images' cross-entropy is the
            term of the loss, in place of the distance of class means.
    """

    name: str
    weight: float
    rows: Tensor
    logits: bool = False

    def loss(self, means: Tensor, labels: Tensor, shown: int) -> Tensor:
        """The term [], summed over the first classes of the batch, of `shown` images each.

        Args:
            means: [g, D], of the real images of these classes. labels: [g], theirs.
        """
        if self.logits:
            own = self.rows[: len(labels) * shown]
            wanted = labels.repeat_interleave(shown)
            return self.weight * F.cross_entropy(own, wanted, reduction="sum") / shown
        own = self.rows.view(-1, shown, self.rows.shape[1]).mean(1)
        return self.weight * (own[: len(means)] - means).square().sum()


Statistic = Callable[[Network, Tensor], list[Vectors]]
"""From a network and normalised images [B, C, H, W] to the terms of the loss."""


class Member:
    """A network with the weights of the moment, and the pieces in which images pass through it.

    Attributes:
        flops: of one image's forward pass. nbytes: of the weights.
        couples: whether what it makes of an image depends on the others in its batch.
        real_side, synthetic_side: the statistic, compiled where that is worth it.
        compiled_images: how many the compiled real side takes at a time.
    """

    def __init__(
        self,
        spec: Spec,
        statistic: Statistic,
        real: ImageSet,
        *,
        shown: int,
        batch: int,
        compute: Compute,
        dtype: torch.dtype,
        initialisation: str,
    ) -> None:
        """For classes of `shown` synthetic images and at most `batch` real ones each.

        It has no weights of any meaning yet.
        """
        self.initialisation = initialisation
        self.statistic = self.real_side = self.synthetic_side = statistic
        self.compute, self.dtype, self.shape = compute, dtype, real.shape
        classes, device = len(real.classes), compute.device
        stream = generator(0, "no network yet")
        self.network = build(spec, real.shape, classes=classes, generator=stream)
        self.network.to(device, dtype).requires_grad_(False)
        self.nbytes = sum(weight.nbytes for weight in self.network.parameters())
        self.couples = couples_images(spec)
        self.flops = size(spec, real.shape, classes)[1]
        self.compiled_images: int | None = None
        numbers = spec.width * math.prod(real.shape[1:])
        present = len(real.present)
        if device.type != "cpu":  # where a piece is filled up to it
            batch = min(batch, int(real.labels.bincount().max()))
        given = {"batch": batch, "classes": present, "numbers": numbers, "flops": self.flops}
        pieces = Pieces.of(shown, **given, device=device.type)
        self.batch = batch
        self.pieces = pieces._replace(classes=present) if self.couples else pieces

    def settle(self, seed: int, number: int) -> None:
        """Take the weights of the random network of that number, which depend on nothing else."""
        stream = generator(seed, "network", number)
        initialise(self.network, generator=stream, scheme=self.initialisation)

    def weights(self) -> list[Tensor]:
        """A copy of the present ones."""
        return [weight.clone() for weight in self.network.parameters()]

    @torch.no_grad()
    def put(self, weights: list[Tensor]) -> None:
        """Take these weights: quicker than to draw them again."""
        for own, kept in zip(self.network.parameters(), weights, strict=True):
            own.copy_(kept)

    def terms(self, statistic: Statistic, images: Tensor) -> list[Vectors]:
        """A statistic of images [B, C, H, W] in the run's precision; its rows in full."""
        with self.compute.autocast():
            terms = statistic(self.network, images)
        return [v._replace(rows=v.rows.to(self.dtype)) for v in terms]

    @torch.no_grad()
    def class_means(self, images: Sequence[Tensor] | Tensor) -> list[Tensor]:
        """The mean [G, D] of each term over the images [n, C, H, W] of each class.

        Args:
            images: one tensor [G, n, C, H, W] where all classes have as many.
        """
        if self.couples:
            terms = self.terms(self.real_side, torch.cat(list(images)))
            split = [v.rows.split([len(part) for part in images]) for v in terms]
            return [torch.stack([rows.mean(0) for rows in parts]) for parts in split]
        if self.pieces.real > 1:
            groups = [
                self._means(images[first : first + self.pieces.real])
                for first in range(0, len(images), self.pieces.real)
            ]
            return [torch.cat(term) for term in zip(*groups, strict=True)]
        means = [self._mean(part) for part in images]
        return [torch.stack(term) for term in zip(*means, strict=True)]

    def _means(self, images: Sequence[Tensor] | Tensor) -> list[Tensor]:
        """The mean [g, D] of each term over each class's images [n, C, H, W], in one piece."""
        classes, counts = self.pieces.real, [len(part) for part in images]
        if not isinstance(images, Tensor):
            images = torch.stack([filled(part, max(counts)) for part in images])
        whole = filled(filled(images, classes).transpose(0, 1), self.batch).transpose(0, 1)
        terms = self.terms(self.real_side, whole.flatten(0, 1))
        there = torch.arange(self.batch) < torch.tensor(counts)[:, None]
        shares = (there / torch.tensor(counts)[:, None])[..., None].to(whole)
        rows = (v.rows.unflatten(0, (classes, self.batch))[: len(counts)] for v in terms)
        return [torch.where(shares > 0, own * shares, 0).sum(1) for own in rows]

    def _mean(self, images: Tensor) -> list[Tensor]:
        """The mean [D] of each term over one class's images [n, C, H, W], in pieces."""
        sums: list[Tensor | float] = []
        count = self.compiled_images or even(len(images), self.pieces.images)
        for piece in images.split(count):
            terms = self.terms(self.real_side, filled(piece, count))
            parts = [v.rows[: len(piece)].sum(0) for v in terms]
            sums = [a + b for a, b in zip(sums or [0.0] * len(parts), parts, strict=True)]
        return [total / len(images) for total in sums]

    def compile_real(self, say: Callable[[str], None]) -> None:
        """Fuse the operations of the real side."""
        self.compiled_images = even(self.batch, self.pieces.images)
        images = self.pieces.real * self.batch if self.pieces.real > 1 else self.compiled_images
        self.real_side = self._compiled(images, say, learning=False)

    def compile_synthetic(self, say: Callable[[str], None]) -> None:
        """Fuse the operations of the synthetic side."""
        images = self.pieces.classes * self.pieces.shown
        self.synthetic_side = self._compiled(images, say, learning=True)

    def _compiled(self, images: int, say: Callable[[str], None], *, learning: bool) -> Statistic:
        """The statistic through torch.compile; where that fails, `say` so and go on without."""
        device = self.compute.device
        example = torch.zeros(images, *self.shape, device=device, dtype=self.dtype)
        example.requires_grad_(learning)

        def trial(statistic: Statistic) -> None:
            with torch.set_grad_enabled(learning):
                terms = self.terms(statistic, example)
            if learning:
                torch.autograd.grad(sum(v.rows.sum() for v in terms), example)

        return fused(self.statistic, trial, say)
