"""ImageWoof (fastai): ten breeds of dogs of ImageNet, here at 128 px.

From the folder or archive imagewoof2, imagewoof2-320 or imagewoof2-160 (which is downloaded), or
from ImageNet's own tree, whose val has 50 images a class. The two part the images otherwise.
"""

from pathlib import Path

from distill.datasets import _wordnet
from distill.images import About, Data

CLASSES = {
    "n02086240": "Shih-Tzu",
    "n02087394": "Rhodesian ridgeback",
    "n02088364": "beagle",
    "n02089973": "English foxhound",
    "n02093754": "Border terrier",
    "n02096294": "Australian terrier",
    "n02099601": "golden retriever",
    "n02105641": "Old English sheepdog",
    "n02111889": "Samoyed",
    "n02115641": "dingo",
}
ABOUT = About(
    "imagewoof", _wordnet.NORMALISATION, shape=(3, 128, 128), classes=tuple(CLASSES.values())
)
ARCHIVES = {
    "imagewoof2": "9aafe18bcdb1632c4249a76c458465ba",
    "imagewoof2-320": "0f46d997ec2264e97609196c95897a44",
    "imagewoof2-160": "3d200a7be99704a0d7509be2a9fbfe15",
}
"""md5 of the archives, as users of them publish it; their authors publish none."""


def load(root: Path, about: About) -> Data:
    """Training and validation images, in mapped files.

    Raises:
        Mistake: as `_wordnet.subset`.
    """
    return _wordnet.subset(root, about, [*CLASSES], archives=ARCHIVES)
