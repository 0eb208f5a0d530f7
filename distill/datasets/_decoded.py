"""Pictures of a tree as images: decoded into memory, or once for all runs into a mapped file.

The file lies beside the pictures and is known by their names, sizes and times (in a zip, sums):
where any of these has changed they are decoded again. One class is in memory at a time. Several
processes that want one file at once wait for the first; what a killed one leaves the next deletes.
"""

import contextlib
import hashlib
import math
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from distill import mapped
from distill.datasets import _pictures
from distill.datasets._tree import File, Folder, Zip
from distill.images import About, Data, ImageSet
from distill.mapped import MappedImages
from distill.runtime import files, locks, ranks, reading
from distill.runtime.cores import cores
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress

VERSION = 1
"""Raised when the same pictures come to give other pixels."""

Tree = Folder | Zip


class Half(NamedTuple):
    """`train` or `test`, and the files of each class by its id."""

    name: str
    files: Callable[[int], Sequence[File]]


def in_memory(tree: Tree, about: About, half: Half) -> ImageSet:
    """All pictures of a half, decoded.

    Raises:
        Mistake: a class holds no picture, or a file is none or cannot be read just now.
    """
    classes = range(len(about.classes))
    own = [(label, file) for label in classes for file in half.files(label)]
    labels = torch.tensor([label for label, _ in own])
    with _pictures.no_warning_ignored(), ThreadPoolExecutor(cores()) as pool:
        images = _images(tree, about, [file for _, file in own], pool, Progress())
    return ImageSet.sorted(about, images, labels)


def on_disk(
    tree: Tree, about: About, halves: Sequence[Half], *, check: Callable[[], None] = lambda: None
) -> Data:
    """Both halves in mapped files, which are made now where they are not there.

    Args:
        check: called before anything is decoded.

    Raises:
        Mistake: as `in_memory`, or the folder beside the pictures cannot be written to.
    """
    return Data(*(_half(tree, about, half, check) for half in halves))


def size(about: About, halves: Sequence[Half]) -> int:
    """How many bytes the decoded images of both halves are.

    Raises:
        Mistake: a class holds no picture.
    """
    classes = range(len(about.classes))
    count = sum(len(half.files(label)) for half in halves for label in classes)
    return count * math.prod(about.shape)


def _half(tree: Tree, about: About, half: Half, check: Callable[[], None]) -> MappedImages:
    path = tree.beside / f"{about.name}-{about.shape[-1]}px-{half.name}.images"
    made_of, count = _identity(about, half)
    images = _kept(path, about, made_of)
    if images is not None:
        return images
    progress = ranks.progress()
    _require_room(tree, count * math.prod(about.shape))
    with locks.held(path, lambda: progress.say(f"waiting for another process to make {path}")):
        images = _kept(path, about, made_of)  # another process may have been quicker
        if images is None:
            check()
            progress.start(f"decoding {about.name}, {half.name}", count)
            _write(path, tree, about, half, made_of, progress)
            images = mapped.load(path, about)
    return images


def _identity(about: About, half: Half) -> tuple[str, int]:
    """By what a file is known that is made of these pictures, and how many they are."""
    sha256, count = hashlib.sha256(f"{VERSION}".encode()), 0
    for label in range(len(about.classes)):
        for file in half.files(label):
            own = f"{label}\0{file.name}\0{file.size}\0{file.stamp}\n"
            sha256.update(own.encode(errors="surrogateescape"))
            count += 1
    return sha256.hexdigest(), count


def _kept(path: Path, about: About, made_of: str) -> MappedImages | None:
    """The images in the file; None where there is none, or it is damaged or of other pictures."""
    with contextlib.suppress(Mistake):
        images = mapped.load(path, about)
        if images.made_of == made_of:
            return images
    return None


def _write(
    path: Path, tree: Tree, about: About, half: Half, made_of: str, progress: Progress
) -> None:
    """Decode class by class into the file."""
    with _pictures.no_warning_ignored(), ThreadPoolExecutor(cores()) as pool:
        classes = (
            (label, _images(tree, about, half.files(label), pool, progress))
            for label in range(len(about.classes))
        )
        mapped.write(path, about, classes, made_of=made_of)


def _images(
    tree: Tree, about: About, own: Sequence[File], pool: ThreadPoolExecutor, progress: Progress
) -> Tensor:
    """uint8 [n, 3, H, W] of these files."""
    images = torch.empty((len(own), *about.shape), dtype=torch.uint8)

    def decode(row: int) -> None:
        name = own[row].name
        try:
            images[row] = _pictures.decode(tree.read(name), about.shape[-1])
        except Exception as error:  # of many kinds, whatever is damaged
            reading.require_lasting(Path(tree.where(name)), error)
            raise Mistake(
                f"{tree.where(name)} is not an image that can be read; mend or remove it"
            ) from error

    with contextlib.closing(pool.map(decode, range(len(own)))) as done:
        for _ in done:
            progress.advance()
    return images


def _require_room(tree: Tree, bytes: int) -> None:
    """Check that the decoded images can be kept beside the pictures.

    Raises:
        Mistake: they cannot.
    """
    folder = tree.beside
    kept = f"the decoded images ({files.size(bytes)}) are kept beside the pictures, in {folder}"
    try:
        files.require_writable(folder)
    except Mistake as error:
        raise Mistake(
            f"{kept}, which cannot be written to; make it writable, or give as --data-root a "
            "folder of your own with links to what is in it"
        ) from error
    free = shutil.disk_usage(folder).free
    if free < bytes:
        raise Mistake(f"{kept}, where only {files.size(free)} are free; make room there")
