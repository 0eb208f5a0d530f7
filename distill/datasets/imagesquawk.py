"""ImageSquawk (Cazenavette et al., MTT, 2022): ten birds of ImageNet, here at 128 px.

From ImageNet's own tree, or one of these classes alone. Others number them in another order:
peacock, flamingo, macaw, pelican, king penguin, bald eagle, toucan, ostrich, black swan, cockatoo.
"""

from pathlib import Path

from distill.datasets import _wordnet
from distill.images import About, Data

CLASSES = {
    "n01518878": "ostrich",
    "n01614925": "bald eagle",
    "n01806143": "peacock",
    "n01818515": "macaw",
    "n01819313": "sulphur-crested cockatoo",
    "n01843383": "toucan",
    "n01860187": "black swan",
    "n02007558": "flamingo",
    "n02051845": "pelican",
    "n02056570": "king penguin",
}
ABOUT = About(
    "imagesquawk", _wordnet.NORMALISATION, shape=(3, 128, 128), classes=tuple(CLASSES.values())
)


def load(root: Path, about: About) -> Data:
    """Training and validation images, in mapped files.

    Raises:
        Mistake: as `_wordnet.subset`.
    """
    return _wordnet.subset(root, about, [*CLASSES])
