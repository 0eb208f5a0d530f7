"""One file is one dataset.

A file holds
    ABOUT              its facts (`distill.images.About`), which need no image to be loaded
    load(root, about)  -> `distill.images.Data`; `root` is the folder given with --data-root
    load_unjudged(root, about)  as load, where nothing is judged on the test images: without any if
                       there are none; only of datasets that can lack them

An ABOUT without a shape is of images that the user gives a size with --image-size.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from distill.runtime import registry
from distill.runtime.mistake import Mistake

if TYPE_CHECKING:
    from distill.images import About, Data

DEFAULT = "digits"
"""The one that comes with the suite: no download."""


def about(name: str, *, size: int | None = None) -> "About":
    """The facts of the dataset `name`, its images at `size` pixels where that is to be chosen.

    Raises:
        Mistake: unknown name, a size missing or not fit, or a size for a dataset that has its own.
    """
    known = registry.load("distill.datasets", name).ABOUT
    if known.shape is not None:
        if size is not None:
            raise Mistake(
                f"{name} has its own image size, {known.shape[-1]}; leave --image-size out"
            )
        return known
    if size is None:
        raise Mistake(
            f"the pictures of --dataset {name} need one size; give --image-size, e.g. "
            "--image-size 64"
        )
    if not 8 <= size <= 1024:
        raise Mistake(f"--image-size {size}: give 8 to 1024 pixels")
    return dataclasses.replace(known, shape=(len(known.normalisation.mean), size, size))


def usual_size(name: str) -> int | None:
    """The --image-size of a dataset that asks for one, where only its help is wanted; else None."""
    return 64 if registry.load("distill.datasets", name).ABOUT.shape is None else None


def load(
    name: str, *, root: Path = Path("data"), size: int | None = None, judged: bool = True
) -> "Data":
    """The training and test images of the dataset `name`.

    Args:
        judged: whether anything is judged on the test images; if not, there may be none.

    Raises:
        Mistake: as `about`, or images that are missing or not what they should be.
    """
    facts = about(name, size=size)
    module = registry.load("distill.datasets", name)
    if judged or not hasattr(module, "load_unjudged"):
        return module.load(root, facts)
    return module.load_unjudged(root, facts)
