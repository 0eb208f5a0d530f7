"""CIFAR-100 (Krizhevsky, 2009): 50,000 and 10,000 images of 32x32 in 100 classes."""

import dataclasses
from pathlib import Path

from distill.datasets import _tree, folder
from distill.datasets._decoded import Tree
from distill.datasets._official import read_official
from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime.mistake import Mistake

ABOUT = About(
    "cifar100",
    Normalisation(
        (0.5071, 0.4866, 0.4409),
        (0.2673, 0.2564, 0.2762),
        "published statistics of CIFAR-100",
    ),
    shape=(3, 32, 32),
    sizes=(50_000, 10_000),
)


def load(root: Path, about: About) -> Data:
    """From a tree train/<class>/*, test/<class>/*, torchvision's files in `root`, or the download.

    The tree lies in `root`, in a folder cifar100 or a zip cifar100.zip there, or is a zip itself,
    which is read and never unpacked. Class ids follow the alphabetical order of the names, which is
    torchvision's.

    Raises:
        Mistake: none of the three is to be had, or a tree without 100 classes.
    """
    tree = _tree.found(root, [ABOUT.name])
    if tree is not None:
        return _from_tree(tree, about)
    import torchvision  # takes a second, which other datasets are spared

    official = read_official(torchvision.datasets.CIFAR100, root)
    if official is None:
        raise Mistake(
            f"no CIFAR-100 in {root} and its official host cannot be reached: put torchvision's "
            f"cifar-100-python there, or a tree cifar100/train/<class>/*, cifar100/test/<class>/*, "
            "also zipped"
        )
    *arrays, classes = official
    named = dataclasses.replace(about, classes=classes)
    train_images, train_labels, test_images, test_labels = arrays
    return Data(
        ImageSet.sorted(named, train_images, train_labels),
        ImageSet.sorted(named, test_images, test_labels),
    )


def _from_tree(tree: Tree, about: About) -> Data:
    data = folder.read(tree, about)
    if len(data.train.classes) != 100:
        raise Mistake(
            f"{tree.where('train')} has {len(data.train.classes)} classes; CIFAR-100 has 100; "
            "other trees are read by --dataset folder --image-size 32"
        )
    return data
