"""ImageNet-1K (ILSVRC 2012): 1.28 million and 50,000 images in 1,000 classes, here at 64 px.

From the tree train/<wnid>/*, val/<wnid>/* into which `torchvision.datasets.ImageNet` unpacks the
official archives. Where val is as it was packed, one folder of all pictures, the official folder
ILSVRC2012_devkit_t12 beside it says their classes. Decoded, it takes 16.4 GB of disk.
"""

import dataclasses
from pathlib import Path

from distill.datasets import _tree, _wordnet
from distill.images import About, Data
from distill.runtime.mistake import Mistake

ABOUT = About("imagenet", _wordnet.NORMALISATION, shape=(3, 64, 64), sizes=(1_281_167, 50_000))
CLASSES = 1000


def load(root: Path, about: About) -> Data:
    """Training and validation images, in mapped files; a class is named as its folder.

    Raises:
        Mistake: there is no such tree, it has not 1,000 classes, or as `_wordnet.named`.
    """
    tree = _tree.found(root, ("imagenet", "ILSVRC2012"))
    if tree is None:
        raise Mistake(
            f"no ImageNet in {root}: give as --data-root a folder or zip with train/<wnid>/* and "
            "val/<wnid>/* in it; torchvision.datasets.ImageNet unpacks the official archives so"
        )
    classes = tree.folders("train")
    if len(classes) != CLASSES:
        raise Mistake(
            f"{tree.where('train')} has {len(classes)} classes; ImageNet-1K has {CLASSES}; other "
            "trees are read by --dataset folder --image-size 64"
        )
    return _wordnet.named(tree, dataclasses.replace(about, classes=tuple(classes)), classes)
