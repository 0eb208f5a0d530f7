"""MedMNIST v2 (Yang et al., 2023; files of version 3): medical images of many kinds, in .npz files.

The sets of one label an image, at 28 and 64 pixels; each is a dataset of its own, `medmnist_` and
MedMNIST's name for it. Training and test images are MedMNIST's; its validation images are left out.
Nothing is unpickled.
"""

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from distill.augment import OPERATIONS
from distill.datasets import _hosted
from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime import reading
from distill.runtime.mistake import Mistake

HOST = "https://zenodo.org/records/10519652/files/"
MOST = 2**32
"""Bytes of a file."""
FAMILY = "medmnist_"
"""What the names of the datasets begin with."""


class Facts(NamedTuple):
    """What MedMNIST says of a set.

    Attributes:
        channels: 1 grey, 3 in colour. classes: in the order of their ids. md5: by size in pixels.
    """

    channels: int
    classes: tuple[str, ...]
    md5: dict[int, str]


ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver"),
    *("lung-left", "lung-right", "pancreas", "spleen"),
)
SETS = {
    "bloodmnist": Facts(
        3,
        (
            *("basophil", "eosinophil", "erythroblast"),
            "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
            *("lymphocyte", "monocyte", "neutrophil", "platelet"),
        ),
        {28: "7053d0359d879ad8a5505303e11de1dc", 64: "2b94928a2ae4916078ca51e05b6b800b"},
    ),
    "breastmnist": Facts(
        1,
        ("malignant", "normal, benign"),
        {28: "750601b1f35ba3300ea97c75c52ff8f6", 64: "742edef2a1fd1524b2efff4bd7ba9364"},
    ),
    "dermamnist": Facts(
        3,
        (
            *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma"),
            *("benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi"),
            "vascular lesions",
        ),
        {28: "0744692d530f8e62ec473284d019b0c7", 64: "b70a2f5635c6199aeaa28c31d7202e1f"},
    ),
    "octmnist": Facts(
        1,
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        {28: "c68d92d5b585d8d81f7112f81e2d0842", 64: "e229e9440236b774d9f0dfef9d07bdaf"},
    ),
    "organamnist": Facts(
        1,
        ORGANS,
        {28: "68e3f8846a6bd62f0c9bf841c0d9eacc", 64: "2dcccc29b88e6da5a01161ef20cda288"},
    ),
    "organcmnist": Facts(
        1,
        ORGANS,
        {28: "b9ceb9546e10131b32923c5bbeaea2b1", 64: "3ce34a8724ea6f548e6db4744d03b6a9"},
    ),
    "organsmnist": Facts(
        1,
        ORGANS,
        {28: "9ab87b696fb54e2a387ebe992d6ed5f1", 64: "53a6d115339d874c25e309a994ff46d3"},
    ),
    "pathmnist": Facts(
        3,
        (
            *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle"),
            *("normal colon mucosa", "cancer-associated stroma"),
            "colorectal adenocarcinoma epithelium",
        ),
        {28: "a8b06965200029087d5bd730944a56c1", 64: "55aa9c1e0525abe5a6b9d8343a507616"},
    ),
    "pneumoniamnist": Facts(
        1,
        ("normal", "pneumonia"),
        {28: "28209eda62fecd6e6a2d98b1501bb15f", 64: "8f4eceb4ccffa70c672198ea285246c6"},
    ),
    "retinamnist": Facts(
        3,
        tuple(f"grade {grade}" for grade in range(5)),
        {28: "bd4c0672f1bba3e3a89f0e4e876791e4", 64: "afda852cc34dcda56f86ad2b2457dbcc"},
    ),
    "tissuemnist": Facts(
        1,
        (
            *("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule"),
            *("Glomerular endothelial cells", "Interstitial endothelial cells", "Leukocytes"),
            *("Podocytes", "Proximal Tubule Segments", "Thick Ascending Limb"),
        ),
        {28: "ebe78ee8b05294063de985d821c1c34b", 64: "123ece2eba09d0aa5d698fda57103344"},
    ),
}
"""By MedMNIST's names. ChestMNIST has several labels an image, and so is not here."""


def about(name: str) -> About:
    """The facts of the dataset `name`; its size is the user's choice.

    Where a class is the left or the right one of an organ, nothing is flipped.
    """
    facts = SETS[name.removeprefix(FAMILY)]
    sided = any(label.endswith(("-left", "-right")) for label in facts.classes)
    return About(
        name,
        Normalisation.fixed(facts.channels),
        classes=facts.classes,
        operations=tuple(own for own in OPERATIONS if not sided or own != "flip"),
    )


def load(root: Path, about: About) -> Data:
    """From MedMNIST's file in `root` or in `root`/medmnist, or the download.

    Raises:
        Mistake: a size that there is not, or the file is not to be had or damaged.
    """
    name, size = about.name.removeprefix(FAMILY), about.shape[-1]
    digests = SETS[name].md5
    if size not in digests:
        sizes = " and ".join(map(str, digests))
        raise Mistake(
            f"--image-size {size}: {about.name} comes at {sizes} pixels; choose one of them"
        )
    file = f"{name}.npz" if size == 28 else f"{name}_{size}.npz"
    path = _hosted.place(
        root,
        file,
        within=[".", "medmnist"],
        urls=[f"{HOST}{file}?download=1"],
        advice="put it there",
        md5=digests[size],
        most=MOST,
    )
    try:
        with np.load(path, allow_pickle=False) as held:
            return Data(*(_half(held, half, about) for half in ("train", "test")))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        reading.require_lasting(path, error)
        raise Mistake(f"{path} is damaged ({error}); delete it and run again") from error


def _half(held: np.lib.npyio.NpzFile, half: str, about: About) -> ImageSet:
    """A half: images [N, H, W] or [N, H, W, 3], labels [N, 1].

    Raises:
        OSError, EOFError, KeyError, ValueError, BadZipFile, zlib.error: it is not as it should be.
    """
    images, labels = held[f"{half}_images"], held[f"{half}_labels"]
    if images.ndim == 3:
        images = images[..., None]
    channels, height, width = about.shape
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels):
        raise ValueError(f"{half}_images are {images.dtype} {images.shape}")
    if labels.dtype.kind not in "ui" or labels.shape != (len(images), 1):
        raise ValueError(f"{half}_labels are {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(about.classes):
        raise ValueError(f"{half}_labels go from {labels.min()} to {labels.max()}")
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return ImageSet.sorted(about, pixels, torch.from_numpy(labels[:, 0].astype(np.int64)))
