"""A dataset of known classes that somebody keeps as pictures: train/<class>/*, test/<class>/*.

`val` is taken for `test` where there is no `test`.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from distill.datasets import _decoded, _tree
from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime.mistake import Mistake


def read(root: Path, about: About, names: Sequence[str]) -> Data | None:
    """What such a tree holds in `root`, in the folder of the dataset's name there, or in its zip.

    How many pictures a class has is the tree's own business.

    Args:
        names: of the class folders, in the order of the class ids.

    Returns:
        None if there is no tree with the first of them.

    Raises:
        Mistake: numbered class folders in a folder or zip that is not named as the dataset (they
            may be of any dataset), other class folders, a file that is no picture, or a picture in
            colour where the dataset is grey.
    """
    tree = _tree.found(root, [about.name])
    if tree is None or not tree.is_folder(f"train/{names[0]}"):
        return None
    if names[0].isdecimal() and not _has_name(tree.path, about.name):
        raise Mistake(
            f"the class folders {', '.join(names)} in {tree.path} may be of any dataset; if they "
            f"are of {about.name}, give that folder or zip the name {about.name}"
        )
    test = "val" if tree.is_folder("val") and not tree.is_folder("test") else "test"
    for half in ("train", test):
        others = set(tree.folders(half)) ^ set(names)
        if others:
            raise Mistake(
                f"{tree.where(half)} lacks the class folder '{min(others)}', or has it too many; "
                f"those of {about.name} are {', '.join(names)}"
            )
    return Data(*(_half(tree, about, half, names) for half in ("train", test)))


def _has_name(path: Path, name: str) -> bool:
    own = path.absolute()
    return name == (own.stem if own.is_file() else own.name)


def _half(tree: _decoded.Tree, about: About, half: str, names: Sequence[str]) -> ImageSet:
    coloured = about  # a picture is decoded in colour, and then seen to be grey
    if about.shape[0] == 1:
        seen = Normalisation.fixed(3)
        coloured = dataclasses.replace(about, shape=(3, *about.shape[1:]), normalisation=seen)
    pictures = _decoded.in_memory(
        tree, coloured, _decoded.Half(half, lambda label: tree.files(f"{half}/{names[label]}"))
    )
    if about.shape[0] == 3:
        return pictures
    images, labels = pictures.images, pictures.labels
    others = labels[(images != images[:, :1]).flatten(1).any(1)]
    if len(others):
        raise Mistake(
            f"class folder {tree.where(f'{half}/{names[others[0]]}')} holds a picture in colour; "
            f"{about.name} is grey: make it grey, or take --dataset folder"
        )
    return ImageSet.sorted(about, images[:, :1].contiguous(), labels)
