"""MNIST's files (IDX), which Fashion-MNIST took over, laid out as torchvision keeps them."""

import gzip
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.datasets import _archive, _class_folders, _hosted
from distill.images import About, Data, ImageSet
from distill.runtime import reading
from distill.runtime.mistake import Mistake

HALVES = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
"""The files of images and labels, of training and of testing."""
BYTES = 8
"""What IDX calls values of one byte without a sign."""


def load(
    dataset: type, root: Path, about: About, *, digests: Mapping[str, tuple[str, str]]
) -> Data:
    """From a tree of numbered class folders, torchvision's files in `root`, or the download.

    Args:
        dataset: of torchvision, which knows the hosts; its files lie in `root`/<its name>/raw,
            packed by gzip or not.
        digests: of every file, the sha256 of it as its host packs it, and the md5 of what is in it.

    Raises:
        Mistake: none of the three is to be had, a digest is another, or a file is damaged.
    """
    tree = _class_folders.read(root, about, tuple(map(str, range(len(about.classes)))))
    if tree is not None:
        return tree
    halves = []
    for names in HALVES:
        paths = [_path(name, dataset, root, about, *digests[name]) for name in names]
        try:
            images, labels = _values(paths[0], 3), _values(paths[1], 1)
            if images.shape[1:] != about.shape[1:] or len(images) != len(labels):
                raise ValueError(f"images {[*images.shape]} and {len(labels)} labels")
            if labels.max() >= len(about.classes):
                raise ValueError(f"{paths[1].name} holds label {labels.max()}")
        except (OSError, EOFError, zlib.error, ValueError, RuntimeError) as error:
            reading.require_lasting(paths[0].parent, error)
            raise Mistake(
                f"the files in {paths[0].parent} are damaged ({error}); delete that folder, so "
                "that it is downloaded again"
            ) from error
        halves.append(ImageSet.sorted(about, images[:, None], labels))
    return Data(*halves)


def _path(name: str, dataset: type, root: Path, about: About, packed: str, unpacked: str) -> Path:
    """Where a file lies, of the right digest: unpacked, or packed."""
    raw = f"{dataset.__name__}/raw"
    path = root / raw / name
    if path.exists():
        _archive.require(path, md5=unpacked)
        return path
    return _hosted.place(
        root,
        f"{name}.gz",
        within=[raw],
        urls=[f"{mirror}{name}.gz" for mirror in dataset.mirrors],
        advice=f"put torchvision's files there, or a tree {about.name}/train/<class id>/*, "
        f"{about.name}/test/<class id>/* into {root}",
        sha256=packed,
    )


def _values(path: Path, dimensions: int) -> Tensor:
    """uint8, of so many dimensions.

    Raises:
        OSError, EOFError, zlib.error, ValueError, RuntimeError: the file holds no such thing.
    """
    content = reading.whole(path)
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    head = 4 * (1 + dimensions)
    kind, *sizes = np.frombuffer(content[:head], dtype=">u4", count=1 + dimensions).tolist()
    if kind != BYTES << 8 | dimensions or len(content) - head != math.prod(sizes):
        raise ValueError(f"{path.name} holds no bytes in {dimensions} dimensions")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=head).view(sizes)
