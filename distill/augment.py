"""Differentiable Siamese augmentation, DSA (Zhao and Bilen, ICML 2021), with its six operations.

Images come in groups. Each group gets one operation; its parameters are shared by the whole group
(distillation: a group is a class, and its real and its synthetic images get the same draw) or
drawn for every image (training: a group is one network's mini-batch). All is differentiable with
respect to the images.
"""

import dataclasses
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5
CROP, CUTOUT, SCALE, ROTATE = 0.125, 0.5, 1.2, 15.0
"""The published parameters: ranges, padding and square as fractions of the size, degrees."""
OPERATIONS = ("colour", "crop", "cutout", "flip", "scale", "rotate")
"""The published six. Colour is brightness, saturation and contrast, one after the other."""


@dataclasses.dataclass(frozen=True)
class Draw:
    """What was drawn for G groups.

    Attributes:
        operation: int64 [G], index into `OPERATIONS`; on the CPU, where it decides what is done.
        numbers: float [G, n, 3], uniform in 0..1; n is 1 (shared by the group) or the group's size.
    """

    operation: Tensor
    numbers: Tensor

    def to(self, images: Tensor) -> "Draw":
        """The draw with its numbers on the device of `images` and in their precision."""
        return Draw(self.operation, self.numbers.to(images))

    def of(self, groups: slice) -> "Draw":
        """What was drawn for some of the groups."""
        return Draw(self.operation[groups], self.numbers[groups])

    def filled(self, count: int) -> "Draw":
        """The draw for `count` groups: the first one's is repeated for those that it lacks."""
        place = torch.arange(count)
        place[len(self.operation) :] = 0
        return Draw(self.operation[place], self.numbers[place.to(self.numbers.device)])


def draw(
    generators: Sequence[torch.Generator], operations: Sequence[str], *, images: int = 1
) -> Draw:
    """One draw for each generator, that is for each group, with parameters for `images` images.

    Args:
        operations: names of `OPERATIONS` to draw from, those that suit the dataset.
    """
    places = torch.tensor([OPERATIONS.index(name) for name in operations])
    operation = [torch.randint(len(places), (), generator=g) for g in generators]
    numbers = [torch.rand(images, 3, generator=g) for g in generators]
    return Draw(places[torch.stack(operation)], torch.stack(numbers))


def augment(images: Tensor, drawn: Draw) -> Tensor:
    """Apply `drawn` to normalised images.

    Args:
        images: [G, B, C, H, W].

    Returns:
        [G, B, C, H, W].
    """
    groups, batch = images.shape[:2]
    numbers = drawn.numbers.expand(groups, batch, 3)
    if groups == 1:
        return FUNCTIONS[int(drawn.operation)](images[0], numbers[0])[None]
    parts, order = [], []
    for index in drawn.operation.unique().tolist():
        members = (drawn.operation == index).nonzero()[:, 0]
        chosen = images[members].flatten(0, 1), numbers[members].flatten(0, 1)
        parts.append(FUNCTIONS[index](*chosen).unflatten(0, (len(members), batch)))
        order.append(members)
    return torch.cat(parts)[torch.cat(order).argsort()]


def at_once(images: Tensor, operation: Tensor, numbers: Tensor, used: Sequence[int]) -> Tensor:
    """What `augment` gives, without a look at what was drawn: fit for a compiler.

    All operations are done on all images, and each image takes its own.

    Args:
        images: [G, B, C, H, W]. operation, numbers: of a `Draw`, on the images' device.
        used: the operations that may be drawn.

    Returns:
        [G, B, C, H, W].
    """
    groups, batch = images.shape[:2]
    flat, u = images.flatten(0, 1), numbers.expand(groups, batch, 3).flatten(0, 1)
    drawn = operation[:, None].expand(groups, batch).reshape(-1, 1, 1, 1)
    shown = flat
    for index in used:
        shown = torch.where(drawn == index, FUNCTIONS[index](flat, u), shown)
    return shown.view_as(images)


def _colour(x: Tensor, u: Tensor) -> Tensor:
    """Brightness, then saturation, then contrast. x [B, C, H, W], u [B, 3]."""
    brightness, saturation, contrast = u.view(-1, 3, 1, 1, 1).unbind(1)
    x = x + (brightness - 0.5) * BRIGHTNESS
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (saturation * SATURATION) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (contrast + CONTRAST) + mean


def _crop(x: Tensor, u: Tensor) -> Tensor:
    """Shift by up to an eighth of the size, in whole pixels (halves up); zeros come in."""
    height, width = x.shape[-2:]
    reach_y, reach_x = int(height * CROP + 0.5), int(width * CROP + 0.5)
    top = (u[:, 0] * (2 * reach_y + 1)).long()
    left = (u[:, 1] * (2 * reach_x + 1)).long()
    padded = F.pad(x, (reach_x, reach_x, reach_y, reach_y))
    rows = top[:, None] + torch.arange(height, device=x.device)
    columns = left[:, None] + torch.arange(width, device=x.device)
    index = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    index = index.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return padded.flatten(2).gather(2, index).view_as(x)


def _cutout(x: Tensor, u: Tensor) -> Tensor:
    """Zero a square of half the size around a random centre, clipped at the border."""
    kept = []
    for size, position in zip(x.shape[-2:], (u[:, 0], u[:, 1]), strict=True):
        side = int(size * CUTOUT + 0.5)
        start = (position * (size + (1 - side % 2))).long() - side // 2
        place = torch.arange(size, device=x.device) - start[:, None]
        kept.append((place < 0) | (place >= side))
    return x * (kept[0][:, None, :, None] | kept[1][:, None, None, :])


def _flip(x: Tensor, u: Tensor) -> Tensor:
    """Mirror left and right, every second time."""
    return torch.where(u[:, 0].view(-1, 1, 1, 1) < 0.5, x.flip(3), x)


def _affine(x: Tensor, xx: Tensor, xy: Tensor, yx: Tensor, yy: Tensor) -> Tensor:
    """Resample with the 2x2 matrix [[xx, xy], [yx, yy]] of each image; zeros outside."""
    zero = torch.zeros_like(xx)
    matrix = torch.stack((xx, xy, zero, yx, yy, zero), 1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    kind = x.device.type
    if kind not in ("cpu", "cuda") or (
        kind == "cuda" and torch.are_deterministic_algorithms_enabled()
    ):
        return _sampled(x, grid)  # there grid_sample has no way back, or none that is deterministic
    return F.grid_sample(x, grid, align_corners=False)


def _sampled(x: Tensor, grid: Tensor) -> Tensor:
    """What `F.grid_sample` gives, to rounding: of each of the four pixels around a place a part.

    x [B, C, H, W], grid [B, H, W, 2] from -1 to 1.
    """
    height, width = x.shape[2:]
    column, row = (((grid[..., n] + 1) * size - 1) / 2 for n, size in ((0, width), (1, height)))
    padded = F.pad(x, (1, 1, 1, 1)).flatten(2)  # what lies further outside is zero too
    total = torch.zeros_like(x)
    for down in (0, 1):
        for right in (0, 1):
            y, x_ = row.floor() + down, column.floor() + right
            part = (1 - (row - y).abs()) * (1 - (column - x_).abs())
            place = y.clamp(-1, height).long() * (width + 2) + x_.clamp(-1, width).long()
            index = (place + width + 3).flatten(1)[:, None].expand(-1, x.shape[1], -1)
            total = total + part[:, None] * padded.gather(2, index).view_as(x)
    return total


def _scale(x: Tensor, u: Tensor) -> Tensor:
    """Stretch each axis by a factor of its own, between 1/1.2 and 1.2."""
    factor = u[:, :2] * (SCALE - 1 / SCALE) + 1 / SCALE
    zero = torch.zeros_like(factor[:, 0])
    return _affine(x, factor[:, 0], zero, zero, factor[:, 1])


def _rotate(x: Tensor, u: Tensor) -> Tensor:
    """Turn by up to 15 degrees either way."""
    angle = (u[:, 0] - 0.5) * 2 * math.radians(ROTATE)
    return _affine(x, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


FUNCTIONS = (_colour, _crop, _cutout, _flip, _scale, _rotate)
"""In the order of `OPERATIONS`."""
