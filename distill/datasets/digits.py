"""scikit-learn's 1,797 real handwritten digits, 8x8, grey. They come with the library.

The library itself, which takes a second, is not imported: its file is read.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from distill.augment import OPERATIONS
from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime.mistake import Mistake

ABOUT = About(
    "digits",
    Normalisation((0.3048,), (0.3757,), "digits train"),
    shape=(1, 8, 8),
    classes=tuple(str(digit) for digit in range(10)),
    operations=tuple(name for name in OPERATIONS if name != "flip"),
    sizes=(1_201, 596),
)


def load(root: Path, about: About) -> Data:
    """1,201 training and 596 test images; nothing is read from `root`.

    The split is fixed and stratified: of every class each third image, in the order of the dataset,
    is for testing.

    Raises:
        Mistake: `root` was given, and holds pictures: another dataset is meant.
    """
    if root != Path("data") and any(folder.is_dir() for folder in root.glob("train/*")):
        raise Mistake(
            f"--data-root {root} holds pictures, and --dataset {about.name} reads none of them; "
            "give --dataset folder --image-size N"
        )
    library = Path(importlib.util.find_spec("sklearn").origin).parent
    held = np.loadtxt(library / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    pixels, labels = torch.from_numpy(held).split([64, 1], dim=1)
    images = (pixels * (255 / 16)).round().to(torch.uint8).reshape(-1, *about.shape)
    labels = labels[:, 0].long()
    test = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(10):
        test[(labels == label).nonzero()[2::3, 0]] = True
    return Data(*(ImageSet.sorted(about, images[part], labels[part]) for part in (~test, test)))
