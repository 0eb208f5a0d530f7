"""ImageNette (fastai): ten classes of ImageNet that are easy to tell apart, here at 128 px.

From the folder or archive imagenette2, imagenette2-320 or imagenette2-160 (which is downloaded), or
from ImageNet's own tree, whose val has 50 images a class. The two part the images otherwise.
"""

from pathlib import Path

from distill.datasets import _wordnet
from distill.images import About, Data

CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
ABOUT = About(
    "imagenette", _wordnet.NORMALISATION, shape=(3, 128, 128), classes=tuple(CLASSES.values())
)
ARCHIVES = {
    "imagenette2": "fe2fc210e6bb7c5664d602c3cd71e612",
    "imagenette2-320": "3df6f0d01a2c9592104656642f5e78a3",
    "imagenette2-160": "e793b78cc4c9e9a4ccc0c1155377a412",
}
"""md5 of the official archives."""


def load(root: Path, about: About) -> Data:
    """Training and validation images, in mapped files.

    Raises:
        Mistake: as `_wordnet.subset`.
    """
    return _wordnet.subset(root, about, [*CLASSES], archives=ARCHIVES)
