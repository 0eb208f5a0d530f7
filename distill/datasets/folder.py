"""Your own images: a tree train/<class>/*, test/<class>/* of pictures, in a folder or a zip.

`val` is taken for `test` where there is no `test`, as in ImageNet's subsets. Many pictures are
decoded once, into a file beside them that is mapped.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from distill.datasets import _decoded, _tree
from distill.datasets._decoded import Half, Tree
from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime.mistake import Mistake

ABOUT = About("folder", Normalisation.fixed(3))
LARGE = 2**28
"""Bytes of decoded images from which on they are kept in a file, and not in memory."""


def load(root: Path, about: About) -> Data:
    """All pictures under `root`, RGB, at the size of `about`; normalisation fixed, not fitted.

    Raises:
        Mistake: what `_tree.opened` and `read` raise.
    """
    return read(_tree.opened(root), _named(root, about))


def load_unjudged(root: Path, about: About) -> Data:
    """As `load`; where `root` holds no test pictures there are none.

    Raises:
        Mistake: as `load`.
    """
    tree, named = _tree.opened(root), _named(root, about)
    if tree.is_folder("test") or tree.is_folder("val"):
        return read(tree, named)
    named = dataclasses.replace(named, classes=tuple(tree.folders("train")))
    (train,) = _decoded_halves(tree, named, ["train"])
    nothing = torch.empty(0, *about.shape, dtype=torch.uint8)
    return Data(train, ImageSet.sorted(named, nothing, torch.empty(0)))


def read(tree: Tree, about: About) -> Data:
    """The pictures in train and test of a tree.

    Class ids follow the alphabetical order of the folders in train.

    Raises:
        Mistake: a folder is missing or cannot be read, holds no class, a class holds no picture, a
            file is no picture, or test has other classes than train.
    """
    classes = tree.folders("train")
    test = "val" if tree.is_folder("val") and not tree.is_folder("test") else "test"
    strangers = set(tree.folders(test)) ^ set(classes)
    if strangers:
        raise Mistake(
            f"{tree.where('train')} and {tree.where(test)} differ in class '{min(strangers)}'; "
            "give both the same class folders"
        )
    named = dataclasses.replace(about, classes=tuple(classes))
    return Data(*_decoded_halves(tree, named, ["train", test]))


def _named(root: Path, about: About) -> About:
    """The facts of the pictures under `root`, but for their classes."""
    own = root.resolve()
    return dataclasses.replace(about, name=f"folder-{own.stem if own.is_file() else own.name}")


def _decoded_halves(tree: Tree, about: About, folders: Sequence[str]) -> list[ImageSet]:
    """The pictures of each folder, `train` first; what another is called, it stands for `test`."""
    halves = [
        Half(name, lambda label, folder=folder: tree.files(f"{folder}/{about.classes[label]}"))
        for name, folder in zip(("train", "test"), folders, strict=False)
    ]
    large = _decoded.size(about, halves) > LARGE
    decoded = _decoded.kept if large else _decoded.in_memory
    return [decoded(tree, about, half) for half in halves]
