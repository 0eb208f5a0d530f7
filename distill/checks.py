"""What is asked of images and labels that a set is to be made of."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distill.runtime.mistake import Mistake

if TYPE_CHECKING:
    from distill.images import About, ImageSet


def require_sound(images: Tensor, labels: Tensor, about: "About") -> None:
    """Check what an `ImageSet` is made of.

    Raises:
        Mistake: a type, a shape or a label is another than asked for, or the labels do not ascend.
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise Mistake(f"images of {about.name} are {_said(images)}; give uint8 [N, C, H, W]")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise Mistake(
            f"labels of {about.name} are {_said(labels)}, of {len(images)} images; give int64, one "
            "an image"
        )
    if bool((labels.diff() < 0).any()):
        raise Mistake(f"images of {about.name} are not sorted by class; ImageSet.sorted sorts them")
    count = len(about.classes or ())
    if len(labels) and (labels[0] < 0 or (count and labels[-1] >= count)):
        raise Mistake(
            f"labels of {about.name} go from {labels[0]} to {labels[-1]}; its {count} classes have "
            f"0 to {count - 1}"
        )


def require_fitting(images: Tensor, labels: Tensor, about: "About") -> None:
    """Check that images are of the dataset's shape, and that each has a label.

    Raises:
        Mistake: they are not.
    """
    if about.shape is not None and tuple(images.shape[1:]) != about.shape:
        asked = ", ".join(map(str, about.shape))
        raise Mistake(f"images of {about.name} are {_said(images)}; give uint8 [N, {asked}]")
    if labels.shape != images.shape[:1]:
        raise Mistake(f"{about.name} has {len(images)} images and labels {[*labels.shape]}")


def require_ipc(real: "ImageSet", ipc: int) -> None:
    """Check that every class present has at least `ipc` images.

    Raises:
        Mistake: ipc below 1 or above the smallest class, or there are no images.
    """
    if not len(real):
        raise Mistake(f"there are no images of {real.name}; give some of each class")
    if ipc < 1:
        raise Mistake(f"{ipc} images per class is not a set; --ipc takes 1 or more")
    counts = real.labels.bincount(minlength=len(real.classes))
    smallest = min(real.present, key=lambda label: int(counts[label]))
    if ipc > counts[smallest]:
        raise Mistake(
            f"--ipc {ipc} is more than the {int(counts[smallest])} images of class "
            f"'{real.classes[smallest]}' of {real.name}; choose at most that"
        )


def _said(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {[*tensor.shape]}"
