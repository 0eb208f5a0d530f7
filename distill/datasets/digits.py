"""scikit-learn's 1,797 real handwritten digits, 8x8, grey. They come with the library."""

from pathlib import Path

import sklearn.datasets
import torch

from distill.augment import OPERATIONS
from distill.images import About, Data, ImageSet, Normalisation

ABOUT = About(
    "digits",
    Normalisation((0.3048,), (0.3757,), "digits train"),
    shape=(1, 8, 8),
    classes=tuple(str(digit) for digit in range(10)),
    operations=tuple(name for name in OPERATIONS if name != "flip"),
)


def load(root: Path, about: About) -> Data:
    """1,201 training and 596 test images; nothing is read from `root`.

    The split is fixed and stratified: of every class each third image, in the order of the dataset,
    is for testing.
    """
    digits = sklearn.datasets.load_digits()
    images = torch.from_numpy(digits.images * (255 / 16)).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(digits.target).long()
    test = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(10):
        test[(labels == label).nonzero()[2::3, 0]] = True
    return Data(*(ImageSet.sorted(about, images[part], labels[part]) for part in (~test, test)))
