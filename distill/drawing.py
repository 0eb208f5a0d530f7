"""The real images as networks see them: drawn anew for each target, or all for a training."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from distill.augment import Draw, augment
from distill.images import ImageSet, Normalisation

PART = 500
"""Images that are normalised at a time, where there are many."""
WHITENED = 2**31
"""Bytes that the whitened images of a whole dataset may take; others are whitened when drawn."""


def in_parts(normalisation: Normalisation, images: Tensor) -> Tensor:
    """Many images as a network sees them, some at a time: the arithmetic takes four times them."""
    return torch.cat([normalisation(part) for part in images.split(PART)])


def all_seen(real: ImageSet, device: torch.device) -> Tensor:
    """All images of a set as a network sees them; a GPU is sent bytes and does it itself."""
    if device.type == "cpu":
        return real.normalisation(real.images)
    return in_parts(real.normalisation.to(device), real.images.to(device))


class RealImages:
    """The real images of every class present, on one device."""

    def __init__(
        self, real: ImageSet, *, batch: int, times: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        """`times` times `batch` images of a class are to be drawn; a smaller class gives all.

        A whitening costs as much as a fifth of a ConvNet of width 128: where more images are drawn
        than there are, each is whitened once.
        """
        self.batch, self.dtype = batch, dtype
        self.normalisation = real.normalisation.to(device)
        self.classes = [real.of_class(label).to(device) for label in real.present]
        self.device = device
        if self.normalisation.whitening is not None:
            self.classes = [
                in_parts(self.normalisation, pixels)
                if times * batch >= len(pixels)
                and len(real.classes) * pixels.numel() * self.dtype.itemsize <= WHITENED
                else pixels
                for pixels in self.classes
            ]
        counts = {min(batch, len(known)) for known in self.classes}
        self.each = counts.pop() if len(counts) == 1 else None  # that every class gives

    def draw(self, c: int, stream: torch.Generator, draws: Draw | None) -> Tensor:
        """Images [n, C, H, W] of class number `c`, augmented, as a network is to see them."""
        images = self._seen(self.classes[c][self._places(c, stream)])
        return images if draws is None else augment(images[None], draws.of(slice(c, c + 1)))[0]

    def draw_all(
        self,
        streams: Sequence[torch.Generator],
        draws: Draw | None,
        augment: Callable[[Tensor, Draw], Tensor],
    ) -> list[Tensor] | Tensor:
        """`draw` of every class, from a stream of its own.

        On a GPU augmented together, where all classes give as many: one tensor [G, n, C, H, W].
        """
        if self.device.type == "cpu" or self.each is None:
            return [self.draw(c, stream, draws) for c, stream in enumerate(streams)]
        places = torch.stack([self._places(c, stream) for c, stream in enumerate(streams)])
        chosen = zip(self.classes, places.to(self.device), strict=True)  # one wait, not G
        images = torch.stack([self._seen(known[own]) for known, own in chosen])
        return images if draws is None else augment(images, draws)

    def _places(self, c: int, stream: torch.Generator) -> Tensor:
        """int64 [n]: which images of class number `c` are drawn."""
        return torch.randperm(len(self.classes[c]), generator=stream)[: self.batch]

    def _seen(self, images: Tensor) -> Tensor:
        """The same as a network is to see them."""
        images = self.normalisation(images) if images.dtype == torch.uint8 else images
        return images.to(self.dtype)


class Seen:
    """All images of a set, to be indexed like a tensor [N, C, H, W] of what a network sees.

    They stay bytes and are normalised when they are taken, so that a large dataset is never in
    memory as floats; but where there is room all are whitened once, if they are to be.
    """

    def __init__(self, real: ImageSet, *, device: torch.device) -> None:
        self.normalisation, self.images = real.normalisation.to(device), real.images.to(device)
        self.shape = self.images.shape
        few = 4 * math.prod(self.shape) <= WHITENED
        if self.normalisation.whitening is not None and few:
            self.images = in_parts(self.normalisation, self.images)

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.images.device

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """float [..., C, H, W]."""
        taken = self.images[index]
        return self.normalisation(taken) if taken.dtype == torch.uint8 else taken

    def split(self, count: int) -> Iterator[Tensor]:
        """In parts of `count` images."""
        for first in range(0, len(self), count):
            yield self[first : first + count]
