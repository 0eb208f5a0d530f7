"""Tiny ImageNet (Stanford CS231n): 100,000 and 10,000 images of 64x64 in 200 classes.

From the official folder tiny-imagenet-200, its zip (which is downloaded, and never unpacked), or a
tree train/<class>/*, val/<class>/* of 200 classes. The images of the official test have no labels:
those of val are for testing, as everywhere in the field.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from distill.datasets import _archive, _decoded, _hosted, _tree, _wordnet
from distill.datasets._decoded import Half, Tree
from distill.datasets._tree import File
from distill.images import About, Data
from distill.runtime import reading
from distill.runtime.mistake import Mistake, short

ABOUT = About("tiny_imagenet", _wordnet.NORMALISATION, shape=(3, 64, 64), sizes=(100_000, 10_000))
CLASSES = 200
NAME = "tiny-imagenet-200"
URL = f"http://cs231n.stanford.edu/{NAME}.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
"""Of the zip, as users of it publish it; its authors publish none."""
IDS, ANNOTATIONS = "wnids.txt", "val/val_annotations.txt"


def load(root: Path, about: About) -> Data:
    """Training and validation images, in mapped files; a class is named as its folder.

    Raises:
        Mistake: there is no such tree, it has not 200 classes, or they differ between its parts;
            or as `on_disk`.
    """
    tree = _tree.found(root, (NAME, ABOUT.name)) or _tree.Zip(_downloaded(root))
    classes = tree.folders("train")
    if len(classes) != CLASSES:
        raise Mistake(
            f"{tree.where('train')} has {len(classes)} classes; Tiny ImageNet has {CLASSES}; other "
            "trees are read by --dataset folder --image-size 64"
        )
    if tree.is_file(IDS):
        strangers = {*_lines(tree, IDS)} ^ {*classes}
        if strangers:
            raise Mistake(
                f"{tree.where(IDS)} and {tree.where('train')} differ in class "
                f"{min(strangers)!r}; give the official files"
            )
    halves = [
        Half("train", _by_folder(tree, "train", classes)),
        Half("test", _tested(tree, classes)),
    ]
    official = tree.path.name == f"{NAME}.zip" and tree.path.is_file()
    mend = {"mend": _archive.GIVEN} if tree.path == root else {}
    return _decoded.on_disk(
        tree,
        dataclasses.replace(about, classes=tuple(classes)),
        halves,
        check=lambda: _archive.require(tree.path, md5=MD5, **mend) if official else None,
    )


def _by_folder(tree: Tree, half: str, classes: Sequence[str]) -> Callable[[int], Sequence[File]]:
    """The files of each class; in the official tree they lie in a folder `images` of its own."""

    def files(label: int) -> Sequence[File]:
        folder = f"{half}/{classes[label]}"
        return tree.files(f"{folder}/images" if tree.is_folder(f"{folder}/images") else folder)

    return files


def _tested(tree: Tree, classes: Sequence[str]) -> Callable[[int], Sequence[File]]:
    """The files of each class that are for testing; those of the official val have a line each."""
    if not (tree.is_file(ANNOTATIONS) and tree.is_folder("val/images")):
        return _by_folder(tree, "val" if tree.is_folder("val") else "test", classes)
    labels = _labels(tree, classes)
    own: list[list[File]] = [[] for _ in classes]
    for file in tree.files("val/images"):
        label = labels.pop(PurePosixPath(file.name).name, None)
        if label is None:
            raise Mistake(f"{tree.where(file.name)} has no line in {ANNOTATIONS}; remove it")
        own[label].append(file)
    if labels:
        raise Mistake(
            f"{tree.where('val/images')} lacks {short(repr(min(labels)))}, of which {ANNOTATIONS} "
            "has a line; give all official pictures"
        )
    if not all(own):
        raise Mistake(
            f"{tree.where('val')} has no picture of class {classes[own.index([])]}; give all "
            "official pictures"
        )
    return own.__getitem__


def _labels(tree: Tree, classes: Sequence[str]) -> dict[str, int]:
    """The class ids of the pictures of val, by the names of their files."""
    ids = {name: label for label, name in enumerate(classes)}
    labels: dict[str, int] = {}
    for number, line in enumerate(_lines(tree, ANNOTATIONS), start=1):
        name, wnid, *_ = (*line.split("\t"), "")
        if wnid not in ids or name in labels:
            what = short(repr(name if wnid in ids else wnid))
            wrong = f"{what} again" if wnid in ids else f"{what} is no class of train"
            raise Mistake(
                f"{tree.where(ANNOTATIONS)}, line {number}: {wrong}; give the official file"
            )
        labels[name] = ids[wnid]
    return labels


def _lines(tree: Tree, name: str) -> list[str]:
    try:
        return tree.read(name).decode().splitlines()
    except Exception as error:  # of many kinds in a zip, whatever is damaged
        reading.require_lasting(Path(tree.where(name)), error)
        raise Mistake(
            f"{tree.where(name)} is no text that can be read; give the official file"
        ) from error


def _downloaded(root: Path) -> Path:
    return _hosted.place(
        root,
        f"{NAME}.zip",
        within=["."],
        urls=[URL],
        advice="put it there, or the unpacked folder, or a tree train/<class>/*, val/<class>/*",
        md5=MD5,
    )
