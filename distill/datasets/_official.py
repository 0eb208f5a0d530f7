"""CIFAR as its authors pack it, which is as torchvision keeps it: pickles, here read as plain data.

Which files there are, and their digests, is torchvision's knowledge. Nothing is read before its
digest is right, and nothing that a file names is ever called: the reader knows how to make dicts,
lists, texts, numbers and arrays of bytes.
"""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.datasets import _archive
from distill.runtime import reading
from distill.runtime.mistake import Mistake

SHA256 = {
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
}
"""Of the archives."""


class Official(NamedTuple):
    """Training images and labels, test images and labels, uint8; images [N, 3, 32, 32]; classes."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]


def read_official(dataset: type, root: Path) -> Official | None:
    """What torchvision's CIFAR10 or CIFAR100 hold.

    Args:
        dataset: one of the two. Its files, or its archive, in `root` are used if they are there;
            otherwise they are downloaded.

    Returns:
        None if nothing is there and the host cannot be reached.

    Raises:
        Mistake: something is there, and damaged.
    """
    folder = root / dataset.base_folder
    if not folder.is_dir() and not _brought(dataset, root, folder):
        return None
    try:
        halves = [_half(folder, files) for files in (dataset.train_list, dataset.test_list)]
        meta = _plain(_content(folder / dataset.meta["filename"], dataset.meta["md5"]))
        classes = tuple(meta[dataset.meta["key"]])
        if not all(isinstance(name, str) and name.isprintable() for name in classes):
            raise ValueError("the names of its classes are no text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        reading.require_lasting(folder, error)
        raise Mistake(
            f"the files in {folder} are damaged or missing; delete that folder, so that it is "
            "downloaded again"
        ) from error
    return Official(*halves[0], *halves[1], classes)


def _brought(dataset: type, root: Path, folder: Path) -> bool:
    """Unpack the archive that lies in `root` or comes from the host; False if it does neither."""
    own, sha256 = root / dataset.filename, SHA256[dataset.filename]
    files = [name for name, _ in (*dataset.train_list, *dataset.test_list)]
    names = [f"{dataset.base_folder}/{name}" for name in (*files, dataset.meta["filename"])]
    with _archive.scratch(folder) as scratch:
        archive = own if own.exists() else scratch / "archive"
        try:
            if archive == own:
                _archive.require(own, sha256=sha256)
            else:
                _archive.fetch(dataset.url, archive, sha256=sha256)
        except OSError:
            return False
        files_folder = scratch / "files"
        files_folder.mkdir()
        try:
            _archive.unpack(archive, files_folder, names=names)
        except ValueError as error:
            raise Mistake(f"{archive} is damaged ({error}); delete it and run again") from error
        _archive.settle(files_folder, folder)
    return True


def _half(folder: Path, files: list[list[str]]) -> tuple[Tensor, Tensor]:
    """Images and labels of one half, which may lie in several files.

    Raises:
        OSError, ValueError, KeyError, TypeError: they are not what they should be.
    """
    images, labels = [], []
    for name, md5 in files:
        entry = _plain(_content(folder / name, md5))
        pixels = entry["data"].values()
        own = entry["labels"] if "labels" in entry else entry["fine_labels"]
        if pixels.ndim != 2 or pixels.shape[1] != 3072 or len(own) != len(pixels):
            raise ValueError(f"{name} has {pixels.shape} values and {len(own)} labels")
        images.append(torch.from_numpy(pixels).view(-1, 3, 32, 32))
        labels.append(torch.from_numpy(np.array(own, dtype=np.uint8)))
    return torch.cat(images), torch.cat(labels)


def _content(path: Path, md5: str) -> bytes:
    """A file's bytes, if they have the digest that torchvision knows.

    Raises:
        OSError, ValueError: there is no such file, or it has another.
    """
    content = reading.whole(path)
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise ValueError(f"{path.name} has another digest")
    return content


class _Type:
    """What a file says of an array's type: `u1`, an unsigned byte."""

    def __init__(self, name: str, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Which byte comes first, and the like: nothing to a byte."""


class _Array:
    """What a file says of an array, before any is made."""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.type, self.by_columns, self.content = state

    def values(self) -> np.ndarray:
        """It, of bytes.

        Raises:
            ValueError: it is of another type or size.
        """
        if getattr(self.type, "name", None) != "u1" or self.by_columns:
            raise ValueError("it holds an array that is not of bytes")
        content = self.content
        content = content.encode("latin1") if isinstance(content, str) else content
        return np.frombuffer(bytearray(content), dtype=np.uint8).reshape(self.shape)


ALLOWED = {
    "_reconstruct": lambda *_: _Array(),
    "ndarray": _Array,
    "dtype": _Type,
}
"""All that a file may name, of numpy's."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Ours in place of numpy's.

        Raises:
            ValueError: it is none of `ALLOWED`.
        """
        if module.partition(".")[0] != "numpy" or name not in ALLOWED:
            raise ValueError(f"it names {module}.{name}, which is no data")
        return ALLOWED[name]


def _plain(content: bytes) -> dict[str, Any]:
    """The dict that a file holds; arrays in it are `_Array`.

    Raises:
        ValueError: it is none, or names anything else.
    """
    try:
        held = _Reader(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # of damaged content, whatever its parts raise
        raise ValueError(f"it is no plain data: {error}") from error
    if not isinstance(held, dict):
        raise ValueError("it holds no table")
    return held
