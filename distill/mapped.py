"""Real images that stay on the disk, in a file sorted by class, of which a class is a slice.

Each class is mapped for as long as somebody holds it, and checked before any of its images is used;
so memory, and what is read, are bounded by the classes in use.

mapped.write(path, about, ((label, images) for ...))
train = mapped.load(path, about)
"""

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.images import About, ImageSet, Normalisation
from distill.runtime import slices
from distill.runtime.mistake import Mistake
from distill.runtime.slices import Slices


def write(
    path: Path, about: About, classes: Iterable[tuple[int, Tensor]], *, made_of: str = ""
) -> None:
    """Write images class by class into one file, whole or not at all.

    Args:
        about: the facts of the dataset, its shape and classes among them.
        classes: class ids, ascending, each with its uint8 images [n, C, H, W]. One class is in
            memory at a time; a class of black images takes no space on most disks.
        made_of: a word that says of what they were made, which `MappedImages.made_of` has.

    Raises:
        Mistake: the folder cannot be written to, or the disk is full.
    """
    facts = _facts(about) | ({"made of": made_of} if made_of else {})
    slices.write(path, classes, shape=about.shape, facts=facts)


def load(path: Path, about: About) -> "MappedImages":
    """The images of a file that `write` wrote.

    Args:
        about: the facts of the dataset; where it has no shape or classes, those of the file.

    Raises:
        Mistake: there is no such file, it is damaged, or it is of another dataset.
    """
    file = Slices(path)
    names = file.facts.get("classes")
    own = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not own or len(file.shape) != 3 or max(file.rows, default=-1) >= len(names):
        raise Mistake(f"{path} is no file of images sorted by class; make it again")
    about = replace(about, shape=about.shape or file.shape, classes=about.classes or tuple(names))
    for name, value in {**_facts(about), "shape": about.shape}.items():
        theirs = file.shape if name == "shape" else file.facts.get(name)
        if theirs != value:
            raise Mistake(f"{path} has another {name} than dataset {about.name}; make it again")
    return MappedImages(file, about, about.normalisation, file.rows)


def _facts(about: About) -> dict[str, Any]:
    """What a file says of its dataset."""
    return {"name": about.name, "version": about.version, "classes": list(about.classes)}


class MappedImages(ImageSet):
    """Real images in a file, or some classes of them, or a part of each class.

    `images` is a view where what is held lies together, and a copy where it does not; a class is
    always a view. It travels to another process by the file's name.
    """

    def __init__(
        self, file: Slices, about: About, normalisation: Normalisation, rows: Mapping[int, range]
    ) -> None:
        """`rows` of each class, by its id, ascending."""
        own = {"file": file, "about": about, "normalisation": normalisation, "rows": dict(rows)}
        self.__dict__.update(own)

    def __reduce__(self) -> tuple:
        file = self.file
        return _opened, (file.path, file.sha256, self.about, self.normalisation, self.rows)

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.about.shape

    @property
    def present(self) -> list[int]:
        """The class ids that occur, ascending."""
        return [label for label, rows in self.rows.items() if rows]

    @property
    def made_of(self) -> str:
        """What the file says of what its images were made of; "" if nothing."""
        return self.file.facts.get("made of", "")

    @functools.cached_property
    def images(self) -> Tensor:
        """uint8 [N, C, H, W]."""
        for label in self.present:
            self._check(label)
        parts = [self.rows[label] for label in self.present]
        if all(one.stop == other.start for one, other in itertools.pairwise(parts)):
            return self.file.view(range(parts[0].start, parts[-1].stop) if parts else range(0))
        return torch.cat([self.file.view(rows) for rows in parts])

    @functools.cached_property
    def labels(self) -> Tensor:
        """int64 [N]."""
        counts = torch.tensor([len(rows) for rows in self.rows.values()], dtype=torch.int64)
        return torch.tensor([*self.rows], dtype=torch.int64).repeat_interleave(counts)

    @functools.cached_property
    def positions(self) -> Tensor:
        """int64 [N], of each image in the file."""
        return torch.cat([torch.arange(rows.start, rows.stop) for rows in self.rows.values()])

    def of_class(self, label: int) -> Tensor:
        """uint8 [n, C, H, W]: the images of one class, mapped for as long as this is held.

        Raises:
            Mistake: they are not what was written.
        """
        rows = self.rows.get(label, range(0))
        if rows:
            self._check(label)
        return self.file.view(rows)

    def only(self, labels: Sequence[int]) -> "MappedImages":
        """The images of these classes alone, with their original ids; nothing is copied."""
        wanted = {*labels}
        return self._of({label: rows for label, rows in self.rows.items() if label in wanted})

    def parted(self, held: Mapping[int, int]) -> tuple["MappedImages", "MappedImages"]:
        """Two sets: of every class its first images, and its last `held[label]`."""
        first, last = {}, {}
        for label, rows in self.rows.items():
            place = len(rows) - held.get(label, 0)
            first[label], last[label] = rows[:place], rows[place:]
        return self._of(first), self._of(last)

    def normalised_by(self, normalisation: Normalisation) -> "MappedImages":
        """The same images under another normalisation."""
        return MappedImages(self.file, self.about, normalisation, self.rows)

    def _of(self, rows: Mapping[int, range]) -> "MappedImages":
        return MappedImages(self.file, self.about, self.normalisation, rows)

    def contents(self) -> tuple[Tensor, ...]:
        """The digest of each class, as bytes, in the place of its images; ids; and how many."""
        sha256 = bytes.fromhex("".join(self._digest(label) for label in self.present))
        counts = [len(self.rows[label]) for label in self.present]
        return tuple(map(torch.tensor, (list(sha256), self.present, counts)))

    def digests(self) -> dict[str, str]:
        """Of the images of each class present, by class id: as they are of images in memory."""
        return {str(label): self._digest(label)[:12] for label in self.present}

    def _digest(self, label: int) -> str:
        """Of a class: the file's own, which is checked when the class is used; of a part, anew."""
        rows = self.rows[label]
        if rows == self.file.rows[label]:
            return self.file.digests[label]
        self._check(label)
        return self.file.digest(rows)

    def _check(self, label: int) -> None:
        self.file.check(label, f"class '{self.classes[label]}'")


def _opened(
    path: Path, sha256: str, about: About, normalisation: Normalisation, rows: Mapping[int, range]
) -> MappedImages:
    """In another process.

    Raises:
        Mistake: the file is another one by now.
    """
    file = Slices(path)
    if file.sha256 != sha256:
        raise Mistake(f"{path} was made again while it was in use; run the same command again")
    return MappedImages(file, about, normalisation, rows)
