"""Whether what a file holds can be a set of a dataset: images and labels, one by one."""

import math
from pathlib import Path

import torch
from torch import Tensor

from distill.runtime import reading
from distill.runtime.mistake import Mistake, short

SORTED = "sorted"
"""Of --labels: as many images of every class, class by class."""


def images(found: Tensor, shape: tuple[int, int, int], *, path: Path, name: str) -> Tensor:
    """float32 [N, C, H, W] of what a file has, as it has the values.

    Channels may come last; images that lie in groups [classes, ipc, ...] follow each other.

    Args:
        shape: (C, H, W) of the dataset `name`.

    Raises:
        Mistake: another size or number of channels, no numbers, NaN, none at all or too many.
    """
    _require_numbers(found, path)
    channels, height, width = shape
    flat = found.detach()  # some save what they were learning, with all that belongs to that
    flat = flat.flatten(0, 1) if flat.ndim == 5 else flat
    if flat.ndim == 3 and channels == 1:
        flat = flat[:, None]
    given = tuple(flat.shape[1:])
    if flat.ndim == 4 and given != shape and given == (height, width, channels):
        flat = flat.permute(0, 3, 1, 2)
    if flat.ndim != 4 or tuple(flat.shape[1:]) != shape or not len(flat):
        sizes = "x".join(map(str, found.shape)) or "one number"
        raise Mistake(
            f"{path} holds {short(sizes)}, and images of {name} are N x {channels} x {height} x "
            f"{width} (or channels last); give the --dataset, or the --image-size, that fits"
        )
    pixels = flat.to(torch.float32, memory_format=torch.contiguous_format)
    bad = int((~pixels.isfinite()).sum())
    if bad:
        raise Mistake(f"{path}: {bad} of its values are NaN or infinite; it cannot be a set")
    return pixels


def _require_numbers(found: Tensor, path: Path) -> None:
    """Check that a tensor is one of plain numbers, and no larger than what it takes in a file.

    Raises:
        Mistake: it is not.
    """
    plain = found.layout == torch.strided and found.device.type == "cpu" and not found.is_quantized
    if not plain or found.dtype == torch.bool or found.is_complex():
        raise Mistake(f"{path} holds {found.dtype} where numbers should be; save float or uint8")
    if 4 * math.prod(found.shape) > reading.MOST:
        raise Mistake(f"{path} holds {found.numel()} values, which are too many for a set")


def labels(
    found: Tensor | None, grouped: Tensor, count: int, classes: tuple[str, ...], *, path: Path
) -> Tensor:
    """int64 [count]: class ids, from whole numbers of any type or from one-hot rows.

    Args:
        found: as the file has them; None where it has none.
        grouped: the images as the file has them: [classes, ipc, ...] need no labels.

    Raises:
        Mistake: none, another number of them, soft ones, or classes that there are not.
    """
    if found is None:
        if grouped.ndim == 5 and len(grouped) == len(classes):
            return torch.arange(len(classes)).repeat_interleave(count // len(classes))
        raise Mistake(
            f"{path} holds no labels; give --labels FILE, or --labels {SORTED} if its images lie "
            "class by class, as many of each"
        )
    _require_numbers(found, path)
    if found.numel() == count:
        found = found.flatten()
    if found.ndim not in (1, 2) or len(found) != count:
        raise Mistake(
            f"{path}: labels of shape {tuple(found.shape)} for {count} images; give one an image"
        )
    if found.ndim == 2:
        found = _one_hot(found, path)
    whole = found.double()
    if not bool(whole.isfinite().all() and (whole == whole.round()).all()):
        raise _soft(path)
    low, high = int(whole.min()), int(whole.max())
    if low < 0 or high >= len(classes):
        raise Mistake(
            f"{path}: label {low if low < 0 else high} is none of the {len(classes)} classes, 0 to "
            f"{len(classes) - 1}; give the --dataset that fits"
        )
    return whole.long()


def in_order(count: int, classes: tuple[str, ...]) -> Tensor:
    """int64 [count]: as many of every class, class by class.

    Raises:
        Mistake: they do not come out even.
    """
    if count % len(classes):
        raise Mistake(
            f"--labels {SORTED}: {count} images cannot be as many of each of {len(classes)} "
            "classes; give --labels FILE"
        )
    return torch.arange(len(classes)).repeat_interleave(count // len(classes))


def _one_hot(rows: Tensor, path: Path) -> Tensor:
    """[count], of rows with a single 1 among zeros.

    Raises:
        Mistake: they are others: a network is to learn more than a class from them.
    """
    if not bool(((rows == 0) | (rows == 1)).all()) or not bool((rows.sum(1) == 1).all()):
        raise _soft(path)
    return rows.argmax(1)


def _soft(path: Path) -> Mistake:
    return Mistake(
        f"{path} has soft labels, and a set here has one class an image; give --labels FILE with "
        "class ids if the images mean something without them"
    )
