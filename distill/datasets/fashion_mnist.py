"""Fashion-MNIST (Xiao et al., 2017): 60,000 and 10,000 articles of clothing, 28x28, grey."""

from pathlib import Path

from distill.datasets import _idx
from distill.images import About, Data, Normalisation

ABOUT = About(
    "fashion_mnist",
    Normalisation((0.2861,), (0.3530,), "published statistics of Fashion-MNIST"),
    shape=(1, 28, 28),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    sizes=(60_000, 10_000),
)
DIGESTS = {
    "train-images-idx3-ubyte": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    ),
    "train-labels-idx1-ubyte": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "9018921c3c673c538a1fc5bad174d6f9",
    ),
    "t10k-images-idx3-ubyte": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "8181f5470baa50b63fa0f6fddb340f0a",
    ),
    "t10k-labels-idx1-ubyte": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}
"""sha256 of the files packed by gzip, md5 of what is in them."""


def load(root: Path, about: About) -> Data:
    """From a tree of class folders 0 to 9, torchvision's files in `root`, or the download.

    Raises:
        Mistake: none of the three is to be had, or it is damaged.
    """
    import torchvision  # takes a second, which other datasets are spared

    return _idx.load(torchvision.datasets.FashionMNIST, root, about, digests=DIGESTS)
