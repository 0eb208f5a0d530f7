"""SVHN, cropped (Netzer et al., 2011): 73,257 and 26,032 digits of house numbers, 32x32.

The additional set of easier digits is left out, as in the published tables of dataset distillation.
"""

from pathlib import Path

import numpy as np
import torch

from distill.augment import OPERATIONS
from distill.datasets import _class_folders, _hosted
from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime import reading
from distill.runtime.mistake import Mistake

ABOUT = About(
    "svhn",
    Normalisation(
        (0.4377, 0.4438, 0.4728),
        (0.1980, 0.2010, 0.1970),
        "published statistics of SVHN",
    ),
    shape=(3, 32, 32),
    classes=tuple(str(digit) for digit in range(10)),
    operations=tuple(name for name in OPERATIONS if name != "flip"),  # as DSA has it for digits
    sizes=(73_257, 26_032),
)
SHA256 = {
    "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
}


def load(root: Path, about: About) -> Data:
    """From a tree of class folders 0 to 9, torchvision's files in `root`, or the download.

    Raises:
        Mistake: none of the three is to be had, or it is damaged.
    """
    tree = _class_folders.read(root, about, about.classes)
    if tree is not None:
        return tree
    return Data(*(_half(root, about, half) for half in ("train", "test")))


def _half(root: Path, about: About, half: str) -> ImageSet:
    import scipy.io  # as torchvision, takes time that other datasets are spared
    import torchvision

    url, name, _ = torchvision.datasets.SVHN.split_list[half]
    path = _hosted.place(
        root,
        name,
        within=[".", about.name],
        urls=[url],
        advice=f"put it there, or a tree {about.name}/train/<digit>/*, {about.name}/test/<digit>/* "
        f"into {root}",
        sha256=SHA256[name],
    )
    try:
        held = scipy.io.loadmat(path, variable_names=("X", "y"))
        images, labels = held["X"], held["y"]
        if not images.dtype == labels.dtype == np.uint8:  # an array of objects would be another
            raise ValueError(f"X of {images.dtype}, y of {labels.dtype}")
        if images.shape[:3] != (32, 32, 3) or labels.shape != (*images.shape[3:], 1):
            raise ValueError(f"X {images.shape}, y {labels.shape}")
        if labels.min() < 1 or labels.max() > 10:
            raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    except Exception as error:  # scipy raises of many kinds, whatever is damaged
        reading.require_lasting(path, error)
        raise Mistake(f"{path} is damaged ({error}); delete it and run again") from error
    digits = torch.from_numpy(labels[:, 0] % 10)  # a nought is written 10
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(3, 2, 0, 1)))
    return ImageSet.sorted(about, pixels, digits)
