"""Pictures of a tree as images: decoded into memory, or once for all runs into a mapped file.

The file lies beside the pictures and is known by their names, sizes and times (in a zip, sums):
where any of these has changed they are decoded again. One class is in memory at a time. Several
processes that want one file at once wait for the first. Of large files what a run had decoded that
was broken off is not decoded again.
"""

import contextlib
import hashlib
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import torch
from torch import Tensor

from distill import mapped
from distill.datasets import _pictures
from distill.datasets._tree import File, Folder, Zip
from distill.images import About, Data, ImageSet
from distill.mapped import MappedImages
from distill.runtime import files, locks, ranks, reading, slices
from distill.runtime.cores import cores
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.slices import Slices

VERSION = 1
"""Raised when the same pictures come to give other pixels."""
PART = 2**26
"""Bytes of decoded images, about, after which they are kept if the rest is not to be had."""

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
    return Data(*(kept(tree, about, half, check=check) for half in halves))


def size(about: About, halves: Sequence[Half]) -> int:
    """How many bytes the decoded images of both halves are.

    Raises:
        Mistake: a class holds no picture.
    """
    classes = range(len(about.classes))
    count = sum(len(half.files(label)) for half in halves for label in classes)
    return count * math.prod(about.shape)


def kept(
    tree: Tree, about: About, half: Half, *, check: Callable[[], None] = lambda: None
) -> MappedImages:
    """One half in a mapped file, as `on_disk` has both.

    Raises:
        Mistake: as `on_disk`.
    """
    path = tree.beside / f"{about.name}-{about.shape[-1]}px-{half.name}.images"
    made_of, count = _identity(about, half)
    images = _kept(path, about, made_of)
    if images is not None:
        return images
    progress = ranks.progress()
    size, parted = count * math.prod(about.shape), len(_groups(about, half)) > 1
    _require_room(tree, 2 * size - _size(_parts(path)) if parted else size)
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
    return _named_by(f"{VERSION}", half, range(len(about.classes)))


def _named_by(first: str, half: Half, labels: Iterable[int]) -> tuple[str, int]:
    """A digest of the names, sizes and times of the files of some classes, and their number."""
    sha256, count = hashlib.sha256(first.encode()), 0
    for label in labels:
        for file in half.files(label):
            count += 1
            line = f"{label}\0{file.name}\0{file.size}\0{file.stamp}\n"
            sha256.update(line.encode(errors="surrogateescape"))
    return sha256.hexdigest(), count


def _size(parts: Path) -> int:
    """Bytes of what an earlier run left."""
    held = 0
    with contextlib.suppress(FileNotFoundError):  # there is none, or another process is done
        for part in parts.iterdir():
            with contextlib.suppress(FileNotFoundError):  # it is being written
                held += part.stat().st_size
    return held


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
    """Decode class by class into the file; of a large one into parts, which are put together.

    The parts stay where the work is broken off: by a damaged picture, or a kill.
    """
    groups, parts = _groups(about, half), _parts(path)
    with _pictures.no_warning_ignored(), ThreadPoolExecutor(cores()) as pool:

        def decoded(labels: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
            own = ((label, half.files(label)) for label in labels)
            return ((label, _images(tree, about, files, pool, progress)) for label, files in own)

        if len(groups) == 1:
            mapped.write(path, about, decoded(groups[0]), made_of=made_of)
            return
        whole = []
        for labels in groups:
            name, count = _named_by(f"{about.shape} {VERSION}", half, labels)
            part = parts / name
            if _known(part, labels):
                progress.advance(count)
            else:
                slices.write(part, decoded(labels), shape=about.shape, facts={})
            whole.append(Slices(part))
    views = ((label, part.view(rows)) for part in whole for label, rows in part.rows.items())
    mapped.write(path, about, views, made_of=made_of)
    shutil.rmtree(parts, ignore_errors=True)


def _groups(about: About, half: Half) -> list[list[int]]:
    """The classes of each part: as few as have `PART` bytes together."""
    groups, held = [[]], 0
    for label in range(len(about.classes)):
        if held >= PART:
            groups.append([])
            held = 0
        groups[-1].append(label)
        held += len(half.files(label)) * math.prod(about.shape)
    return groups


def _parts(path: Path) -> Path:
    """The folder of the parts of a file, until it is whole."""
    return path.with_name(f"{path.name}.parts")


def _known(part: Path, labels: Sequence[int]) -> bool:
    """Whether a part is there and whole."""
    with contextlib.suppress(Mistake):
        file = Slices(part)
        for label in labels:
            file.check(label, "a class")
        return True
    return False


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
            raise _no_image(tree, name, own) from error

    with contextlib.closing(pool.map(decode, range(len(own)))) as done:
        for _ in done:
            progress.advance()
    return images


def _no_image(tree: Tree, name: str, own: Sequence[File]) -> Mistake:
    """A file is no picture: what can be read, and how many of `own` have an ending like its own.

    That is told of an ending that no picture has: another file `.png` may well be whole.
    """
    ending = PurePosixPath(name).suffix
    alike = sum(file.name.endswith(ending) for file in own) - 1
    more = f" ({alike} more end in {ending})"
    known = not ending or _pictures.has_ending(name)
    return Mistake(
        f"{tree.where(name)} is not an image that can be read{'' if known or not alike else more}; "
        f"mend or remove it, or make it one of {', '.join(_pictures.FORMATS)}"
    )


def _require_room(tree: Tree, bytes: int) -> None:
    """Check that the decoded images can be kept beside the pictures.

    Raises:
        Mistake: they cannot.
    """
    folder = tree.beside
    room = f"{files.size(bytes)} until all are done"
    kept = f"the decoded images ({room}) are kept beside the pictures, in {folder}"
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
