"""A set's images on one sheet, to look at: whatever their number, of proportions that a screen has.

Each class is a block of images, named above where there are few; blocks follow the class ids, from
left to right and down, as one reads.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

ENLARGED = 64
"""Pixels of a side up to which small images are enlarged, by a whole factor."""
SIDE = 4000
"""Pixels of a sheet's side, about: beyond it images are made smaller, down to `LEAST`."""
LEAST = 16
GAP, APART = 2, 10
"""Pixels between two images, and between two classes."""
NAMED = 200
"""Classes whose names are written, at most. LINE: pixels of a line of text."""
LINE, SIZE = 15, 11
WIDE = 1.4
"""Width by height of a sheet, as nearly as it can be had."""


class Layout(NamedTuple):
    """Of a sheet: `across` blocks side by side, of `columns` x `rows` images each.

    Attributes:
        side: pixels of an image. text: of the line above each block, or 0.
        down: rows of blocks.
    """

    across: int
    down: int
    columns: int
    rows: int
    side: int
    text: int

    @property
    def block(self) -> tuple[int, int]:
        """Pixels of a block, its name with it: width and height."""
        return tuple(
            n * (self.side + GAP) - GAP + more
            for n, more in ((self.columns, 0), (self.rows, self.text))
        )

    @property
    def size(self) -> tuple[int, int]:
        """Pixels of the sheet: width and height."""
        return tuple(
            n * (own + APART) + APART
            for n, own in zip((self.across, self.down), self.block, strict=True)
        )


def layout(classes: int, each: int, pixels: int) -> Layout:
    """For so many classes of `each` images of `pixels` along a side.

    A class takes one row of images where that is not much further from `WIDE`.
    """
    most = SIDE // math.ceil(math.sqrt(classes * each)) - GAP
    large = enlarged(pixels)
    side = large if large <= most else max(LEAST, min(pixels, most))
    text = LINE if classes <= NAMED else 0

    def off(choice: Layout) -> float:
        width, height = choice.size
        room = choice.across * choice.down * choice.columns * choice.rows
        return (
            abs(math.log(width / height / WIDE))
            + 0.3 * (choice.rows > 1)
            + math.log(room / classes / each)
        )

    return min(
        (
            Layout(across, -(-classes // across), columns, -(-each // columns), side, text)
            for columns in {-(-each // rows) for rows in range(1, each + 1)}
            for across in {-(-classes // down) for down in range(1, classes + 1)}
        ),
        key=off,
    )


def enlarged(pixels: int) -> int:
    """The side at which an image of so many pixels is shown where there is room."""
    return pixels * max(1, ENLARGED // pixels)


def sheet(images: Tensor, labels: Tensor, names: Sequence[str]) -> Tensor:
    """All images: float [3, H, W] within 0..1.

    An image beyond 0..1 is shown with its own range (its 1st to 99th percentile) squeezed into it,
    so that its pattern can be seen.

    Args:
        images: float [N, C, h, w] in pixel units. labels: int64 [N].
        names: of every class of the dataset.
    """
    present = labels.unique().tolist()
    each = int(labels.bincount().max())
    plan = layout(len(present), each, images.shape[-1])
    canvas = Image.new("RGB", plan.size, "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(SIZE)
    for place, label in enumerate(present):
        row, column = divmod(place, plan.across)
        left, top = (
            APART + n * (own + APART) for n, own in zip((column, row), plan.block, strict=True)
        )
        if plan.text:
            pen.text((left, top), fitting(names[label], plan.block[0], font), "black", font)
        for number, image in enumerate(images[labels == label]):
            y, x = divmod(number, plan.columns)
            spot = left + x * (plan.side + GAP), top + plan.text + y * (plan.side + GAP)
            canvas.paste(picture(image, plan.side), spot)
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1).float() / 255


def fitting(name: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """The name, or as much of it as there is room for."""
    shown = "".join(c if c.isprintable() else "?" for c in name[:100])
    while len(shown) > 1 and font.getlength(shown) > width:
        shown = shown[:-1]
    return shown


def picture(image: Tensor, side: int) -> Image.Image:
    """An image [C, h, w] at `side` pixels."""
    image, pixels = _viewable(image), image.shape[-1]
    if side >= pixels:
        image = image.repeat_interleave(side // pixels, 1).repeat_interleave(side // pixels, 2)
    else:
        image = F.interpolate(image[None], size=(side, side), mode="area")[0]
    grid = image.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
    return Image.fromarray(grid.expand(-1, -1, 3).numpy() if grid.shape[2] == 1 else grid.numpy())


def _viewable(image: Tensor) -> Tensor:
    """[C, H, W] within 0..1, or nearly."""
    low, high = image.flatten().quantile(torch.tensor([0.01, 0.99])).tolist()
    low, high = min(low, 0.0), max(high, 1.0)
    return (image - low) / (high - low)
