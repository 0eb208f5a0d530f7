"""MNIST (LeCun et al., 1998): 60,000 and 10,000 handwritten digits, 28x28, grey."""

from pathlib import Path

from distill.augment import OPERATIONS
from distill.datasets import _idx
from distill.images import About, Data, Normalisation

ABOUT = About(
    "mnist",
    Normalisation((0.1307,), (0.3081,), "published statistics of MNIST"),
    shape=(1, 28, 28),
    classes=tuple(str(digit) for digit in range(10)),
    operations=tuple(name for name in OPERATIONS if name != "flip"),  # as DSA has it for digits
    sizes=(60_000, 10_000),
)
DIGESTS = {
    "train-images-idx3-ubyte": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "6bbc9ace898e44ae57da46a324031adb",
    ),
    "train-labels-idx1-ubyte": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "a25bea736e30d166cdddb491f175f624",
    ),
    "t10k-images-idx3-ubyte": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "2646ac647ad5339dbf082846283269ea",
    ),
    "t10k-labels-idx1-ubyte": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "27ae3e4e09519cfbb04c329615203637",
    ),
}
"""sha256 of the files packed by gzip, md5 of what is in them."""


def load(root: Path, about: About) -> Data:
    """From a tree of class folders 0 to 9, torchvision's files in `root`, or the download.

    Raises:
        Mistake: none of the three is to be had, or it is damaged.
    """
    import torchvision  # takes a second, which other datasets are spared

    return _idx.load(torchvision.datasets.MNIST, root, about, digests=DIGESTS)
