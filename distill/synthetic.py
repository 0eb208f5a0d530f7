"""A distilled (or selected) set of images: saved without pickle, exported, iterated over."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from distill import formation
from distill.images import digest
from distill.runtime import store
from distill.runtime.files import write_atomically
from distill.runtime.mistake import Mistake
from distill.sets import export, gallery


@dataclasses.dataclass(frozen=True)
class Made:
    """How a set was made.

    Attributes:
        method, version: of distill/methods, and its VERSION.
        dataset: its name, version and what DSA leaves out (`About.identity`).
        digests: of each class's real images, by class id.
        ipc, seed: images a class; the seed of this set.
        config: the method's whole configuration.
        normalisation: how the networks saw the images.
        versions: of the libraries.
        seconds: wall clock that the making took; classes made side by side count each their own.
        precision: of convolutions and matrix products.
        core_seconds: of all cores together; 0 if not known.
    """

    method: str
    version: int
    dataset: Mapping[str, Any]
    digests: Mapping[str, str]
    ipc: int
    seed: int
    config: Mapping[str, Any]
    normalisation: Mapping[str, Any]
    versions: Mapping[str, str]
    seconds: float
    precision: str = "float32"
    core_seconds: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SyntheticSet(Dataset):
    """A few images per class and how they were made.

    As a `torch.utils.data.Dataset` its items are what a network is shown: (float [C, H, W], int),
    the image in pixel units, to be normalised as the real images are.

    Attributes:
        images: float32 [N, C, H, W] in pixel units: 0 black, 1 white; learned images may lie
            outside.
        labels: int64 [N], indices into `classes`.
        classes: the name of every class of the dataset.
        formation: f x f smaller images share each stored one (`distill.formation`).
        made: how.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    made: Made
    formation: int = 1

    def __post_init__(self) -> None:
        assert self.images.dtype == torch.float32 and self.images.ndim == 4
        assert self.labels.dtype == torch.int64 and len(self.labels) == len(self.images)
        assert int(self.labels.min()) >= 0 and int(self.labels.max()) < len(self.classes)
        assert bool(self.images.isfinite().all())
        assert self.formation >= 1 and all(n % self.formation == 0 for n in self.images.shape[2:])

    def decoded(self) -> tuple[Tensor, Tensor]:
        """What a network is shown: images float32 [M, C, H, W] in pixel units, labels int64 [M].

        M is N * formation**2. This is the one door to the images for all that trains or looks.
        """
        return (
            formation.decode(self.images, self.formation),
            formation.labels(self.labels, self.formation),
        )

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape))
        return f"SyntheticSet({self.made.method} of {self.made.dataset['name']}, images {shape})"

    def __len__(self) -> int:
        return len(self.images) * self.formation**2

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)  # ends a plain loop over the set
        place, part = divmod(index, self.formation**2)
        images = formation.decode(self.images[place][None], self.formation)
        return images[part], int(self.labels[place])

    @property
    def stored_bytes(self) -> int:
        """What the images take: 1 byte a value if all are real pixels (n / 255), else 4."""
        levels = self.images * 255
        real = bool((levels - levels.round()).abs().max() < 1e-3)
        return self.images.numel() * (1 if real else 4)

    def digest(self) -> str:
        """sha256 over images, labels and formation: 12 hexadecimal digits."""
        return digest(self.images, self.labels, torch.tensor(self.formation))[:12]

    def only(self, labels: Sequence[int]) -> "SyntheticSet":
        """The images of these classes; they share the seconds evenly."""
        kept = torch.isin(self.labels, torch.tensor(labels))
        digests = {str(label): self.made.digests[str(label)] for label in labels}
        share = int(kept.sum()) / len(kept)
        made = dataclasses.replace(
            self.made,
            digests=digests,
            seconds=self.made.seconds * share,
            core_seconds=self.made.core_seconds * share,
        )
        return dataclasses.replace(
            self, images=self.images[kept], labels=self.labels[kept], made=made
        )

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with a digest inside, whole or not at all.

        Raises:
            Mistake: the folder cannot be written to.
        """
        store.write(Path(path), self.tensors(), self.facts())

    @classmethod
    def load(cls, path: str | Path) -> "SyntheticSet":
        """Read what `save` wrote; nothing in the file is ever executed.

        Raises:
            Mistake: no such file, a damaged one, or not a synthetic set.
        """
        path = Path(path)
        try:
            return cls.of(*store.read(path))
        except FileNotFoundError as error:
            raise Mistake(f"no synthetic set at {path}; make one: python -m distill") from error
        except ValueError as error:
            mend = "give a set's file, or make it again: python -m distill"
            raise store.refused(path, error, what="synthetic set", mend=mend) from error

    def tensors(self) -> dict[str, Tensor]:
        """What a file holds."""
        return {"images": self.images, "labels": self.labels}

    def facts(self) -> dict[str, Any]:
        """What a file says of it."""
        return {
            "classes": list(self.classes),
            "formation": self.formation,
            "made": dataclasses.asdict(self.made),
        }

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> "SyntheticSet":
        """The reverse of `tensors` and `facts`.

        Raises:
            ValueError: they are not those of a set.
        """
        try:
            made = Made(**facts["made"])
            _require_types(made)
            classes, factor = tuple(facts["classes"]), facts["formation"]
            assert all(isinstance(name, str) for name in classes) and type(factor) is int
            assert {str(label) for label in tensors["labels"].tolist()} <= made.digests.keys()
            return cls(tensors["images"], tensors["labels"], classes, made, factor)
        except (KeyError, TypeError, AssertionError, RuntimeError) as error:
            raise ValueError("it holds something else than a synthetic set") from error

    def export(self, folder: str | Path) -> None:
        """Write `<folder>/<class>/<number>.png` for every image, clipped to 0..1.

        An earlier export into the same folder is replaced (`distill.sets.export`). The tree is that
        which the dataset `folder` and torchvision's ImageFolder read. Pixels are 8 bits and lie in
        0..1: learned images lose what lies outside, and some accuracy with it.

        Raises:
            Mistake: the folder cannot be written to, or holds what is of no earlier export.
        """
        export.write(*self.decoded(), self.classes, Path(folder))

    def grid(self, path: str | Path) -> None:
        """Write `sheet` into a file.

        Raises:
            Mistake: the folder cannot be written to.
        """
        write_atomically(Path(path), self.sheet())

    def sheet(self, *, mark: str | None = None) -> bytes:
        """All stored images in one PNG, by class (`gallery.sheet`); the file says `mark`."""
        drawn = gallery.sheet(self.images, self.labels, self.classes)
        return export.png(drawn, mark=mark)


def _require_types(made: Made) -> None:
    """Check what was read from a file.

    Raises:
        TypeError: a field is of another type.
    """
    for name, kind in typing.get_type_hints(Made).items():
        value, kind = getattr(made, name), typing.get_origin(kind) or kind
        if not isinstance(value, int | float if kind is float else kind):
            raise TypeError(f"its {name} is {value!r:.40}")


def merge(sets: Sequence[SyntheticSet]) -> SyntheticSet:
    """One set of all the images, in the order given, of sets that were made alike.

    The digests of the classes and the seconds of all are put together.
    """
    first = sets[0]
    digests = {label: found for part in sets for label, found in part.made.digests.items()}
    seconds = sum(part.made.seconds for part in sets)
    both = {"digests": digests, "seconds": seconds}
    both["core_seconds"] = sum(part.made.core_seconds for part in sets)
    made = dataclasses.replace(first.made, **both)
    for part in sets:
        # Library versions may differ between pieces that a store kept; all else may not.
        alike = dataclasses.replace(part.made, **both, versions=first.made.versions)
        assert alike == made and part.formation == first.formation, "sets of two kinds"
    images = torch.cat([part.images for part in sets])
    labels = torch.cat([part.labels for part in sets])
    return dataclasses.replace(first, images=images, labels=labels, made=made)
