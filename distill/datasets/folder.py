"""Your own images: a tree train/<class>/*, test/<class>/* of pictures, in a folder or a zip.

`val` is taken for `test` where there is no `test`, as in ImageNet's subsets. Many pictures are
decoded once, into a file beside them that is mapped.
"""

import dataclasses
from pathlib import Path

from distill.datasets import _decoded, _tree
from distill.datasets._decoded import Half, Tree
from distill.images import About, Data, Normalisation
from distill.runtime.mistake import Mistake

ABOUT = About("folder", Normalisation.fixed(3))
LARGE = 2**28
"""Bytes of decoded images from which on they are kept in a file, and not in memory."""


def load(root: Path, about: About) -> Data:
    """All pictures under `root`, RGB, at the size of `about`; normalisation fixed, not fitted.

    Raises:
        Mistake: what `_tree.opened` and `read` raise.
    """
    own = root.resolve()
    name = own.stem if own.is_file() else own.name
    return read(_tree.opened(root), dataclasses.replace(about, name=f"folder-{name}"))


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
    halves = [
        Half(half, lambda label, folder=folder: tree.files(f"{folder}/{classes[label]}"))
        for half, folder in (("train", "train"), ("test", test))
    ]
    if _decoded.size(named, halves) > LARGE:
        return _decoded.on_disk(tree, named, halves)
    return Data(*(_decoded.in_memory(tree, named, half) for half in halves))
