"""Multi-formation: several smaller images in the place of one (Kim et al., IDC, ICML 2022).

With factor f a stored image holds f x f smaller ones. They are cut out and enlarged where a network
is shown them, so that the same bytes hold f * f images of less detail.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.images import Normalisation
from distill.runtime.mistake import Mistake


def decode(images: Tensor, factor: int) -> Tensor:
    """Cut out and enlarge (bilinear) what each stored image holds.

    Args:
        images: [..., N, C, H, W].

    Returns:
        [..., N * factor**2, C, H, W]; the parts of one image follow each other, row by row.
    """
    if factor == 1:
        return images
    *lead, count, channels, height, width = images.shape
    large = _enlarged(_cut(images, factor), (height, width))
    return large.view(*lead, count * factor**2, channels, height, width)


def _cut(images: Tensor, factor: int) -> Tensor:
    """[..., C, H, W] to the parts [M, C, H / factor, W / factor] of all images, row by row."""
    channels, height, width = images.shape[-3:]
    cut = images.reshape(-1, channels, factor, height // factor, factor, width // factor)
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def _enlarged(parts: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(parts, size, mode="bilinear", align_corners=False)


def encode(images: Tensor, factor: int) -> Tensor:
    """Shrink and put together: float [N * factor**2, C, H, W] to [N, C, H, W].

    By areas; IDC's released code, which starts so too, takes every `factor`-th pixel.
    """
    if factor == 1:
        return images
    _, channels, height, width = images.shape
    small = F.interpolate(images, (height // factor, width // factor), mode="area")
    tiles = small.view(-1, factor, factor, channels, height // factor, width // factor)
    return tiles.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, height, width)


class Shown:
    """`decode` for images as a network sees them, that is through `normalisation`.

    Enlarging commutes with a standardisation per channel, but not with a whitening, which is
    therefore undone first and done again. Both are linear: enlarging and whitening are one matrix,
    as many times smaller than the whitening's as there are parts in an image. The whitening's is
    37 MB at 32 pixels, and would be read for every class at every step, there and back.
    """

    def __init__(
        self, factor: int, normalisation: Normalisation, shape: tuple[int, int, int]
    ) -> None:
        """For images of `shape` (C, H, W) on the device of the whitening, if there is one."""
        self.factor = factor
        self.whitening = normalisation.whitening if factor > 1 else None
        if self.whitening is not None:
            channels, height, width = shape
            white, centre = self.whitening.white, self.whitening.centre
            small = (channels, height // factor, width // factor)
            units = torch.eye(math.prod(small), device=white.device).view(-1, *small)
            self.matrix = _enlarged(units, (height, width)).flatten(1) @ white
            self.offset = centre @ white

    def __call__(self, images: Tensor) -> Tensor:
        """[..., N, C, H, W] to [..., N * factor**2, C, H, W]."""
        if self.whitening is None:
            return decode(images, self.factor)
        *lead, count, channels, height, width = images.shape
        parts = _cut(self.whitening.inverse(images), self.factor)
        large = parts.flatten(1) @ self.matrix - self.offset
        return large.view(*lead, count * self.factor**2, channels, height, width)


def labels(stored: Tensor, factor: int) -> Tensor:
    """The labels of decoded images: int64 [N] to [N * factor**2]."""
    return stored.repeat_interleave(factor**2)


def require(factor: int, shape: tuple[int, int, int]) -> None:
    """Check that images of `shape` (C, H, W) can be cut into factor x factor parts of 4 pixels.

    Raises:
        Mistake: they cannot.
    """
    for size in shape[1:]:
        if factor < 1 or size % factor or size // factor < min(4, size):
            fit = [f for f in range(1, size + 1) if size % f == 0 and size // f >= min(4, size)]
            raise Mistake(
                f"--method.formation {factor}: images of {size} pixels can be cut by "
                f"{', '.join(map(str, fit))}; choose one of these"
            )


def start(pixels: Tensor, count: int, factor: int, stream: torch.Generator) -> Tensor:
    """float [count, C, H, W] in pixel units: random ones of uint8 `pixels` [n, C, H, W].

    Where a class has too few for all the parts, they come round again.
    """
    order = torch.randperm(len(pixels), generator=stream)
    chosen = order[torch.arange(count * factor**2) % len(pixels)]
    return encode(pixels[chosen].float() / 255, factor)
