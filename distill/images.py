"""Real images, the facts of a dataset, and the one place that knows normalisation."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distill.augment import OPERATIONS
from distill.checks import require_fitting, require_sound
from distill.runtime.compute import SMALL
from distill.runtime.digests import Digests, digest
from distill.runtime.mistake import Mistake


@dataclasses.dataclass(frozen=True, eq=False)
class Whitening:
    """ZCA: x -> (x - centre) @ white, undone by (x @ colour) + centre; D = C*H*W.

    Attributes:
        centre: [D]. white, colour: [D, D], inverse of each other. epsilon: added to the variances.
    """

    centre: Tensor
    white: Tensor
    colour: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        """float [..., C, H, W], standardised -> whitened."""
        flat = x.flatten(-3) - self.centre.to(x.device)
        return (flat @ self.white.to(x.device)).view_as(x)

    def inverse(self, x: Tensor) -> Tensor:
        """float [..., C, H, W], whitened -> standardised."""
        flat = x.flatten(-3) @ self.colour.to(x.device)
        return (flat + self.centre.to(x.device)).view_as(x)

    def to(self, device: torch.device) -> "Whitening":
        """The same on another device."""
        tensors = (tensor.to(device) for tensor in (self.centre, self.white, self.colour))
        return Whitening(*tensors, self.epsilon)


@dataclasses.dataclass(frozen=True, eq=False)
class Normalisation:
    """Pixels to what a network sees: divide by 255, standardise per channel, then ZCA if any.

    Images outside a network are in *pixel units*: uint8 in 0..255, or float with 0 black and 1
    white (synthetic images may lie outside that range).

    Attributes:
        mean, std: one number a channel, in pixel units of 0..1.
        source: "fixed" if the numbers depend on no data; otherwise what they were fitted on.
        whitening: fitted on standardised images, or None.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str
    whitening: Whitening | None = None

    @classmethod
    def fixed(cls, channels: int) -> "Normalisation":
        """Mean 0.5 and deviation 0.25 for every channel: it can leak nothing from any image."""
        return cls((0.5,) * channels, (0.25,) * channels, "fixed")

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 or float [..., C, H, W] in pixel units -> float [..., C, H, W] for a network."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        x = (pixels - self._channels(self.mean, pixels)) / self._channels(self.std, pixels)
        return x if self.whitening is None else self.whitening(x)

    def inverse(self, x: Tensor) -> Tensor:
        """float [..., C, H, W] as a network sees it -> float [..., C, H, W] in pixel units."""
        if self.whitening is not None:
            x = self.whitening.inverse(x)
        return x * self._channels(self.std, x) + self._channels(self.mean, x)

    def to(self, device: torch.device) -> "Normalisation":
        """The same for images on `device`; it takes others too, but moves a whitening each time."""
        whitening = self.whitening and self.whitening.to(device)
        return dataclasses.replace(self, whitening=whitening)

    def describe(self) -> dict[str, Any]:
        """What a record or a saved set says of it."""
        epsilon = self.whitening.epsilon if self.whitening else None
        return {
            "mean": list(self.mean),
            "std": list(self.std),
            "source": self.source,
            "zca": epsilon,
        }

    @staticmethod
    def _channels(values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class About:
    """The facts of a dataset, known before any image is loaded.

    Attributes:
        name: of the dataset.
        normalisation: how a network is to see the images.
        shape: (channels, height, width); None where the user chooses the size (`sized`).
        classes: the name of every class; None where the images say it.
        operations: of DSA that leave an image in its class: no flips for digits and letters.
        sizes: how many images it has to train on and to test on; None where the files say it.
        version: raised when the same name comes to stand for other images.
    """

    name: str
    normalisation: Normalisation
    shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] | None = None
    operations: tuple[str, ...] = OPERATIONS
    sizes: tuple[int, int] | None = None
    version: int = 1

    @property
    def depth(self) -> int:
        """Blocks of the ConvNet that the field uses: 3 at 28 and 32 px, 4 at 64, 5 at 128."""
        return max(3, self.shape[-1].bit_length() - 3)

    @property
    def small(self) -> bool:
        """Images of up to 16 pixels, for which the laptop presets can afford more."""
        return self.shape is not None and max(self.shape[1:]) <= SMALL

    def identity(self) -> dict[str, Any]:
        """What a result depends on, besides the images themselves."""
        return {
            "name": self.name,
            "version": self.version,
            "without": [name for name in OPERATIONS if name not in self.operations],
        }


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Real images of a labelled dataset, sorted by class, so that a class is a slice.

    Attributes:
        about: the facts of the dataset; `classes` also names classes that are not in this set.
        images: uint8 [N, C, H, W].
        labels: int64 [N], indices into `about.classes`, ascending.
        normalisation: how a network is to see the images; the dataset's own, if not another.
        positions: int64 [N], of each image in the dataset's own order; by default as they lie here.
    """

    about: About
    images: Tensor
    labels: Tensor
    normalisation: Normalisation
    positions: Tensor | None = None

    def __post_init__(self) -> None:
        if self.positions is None:
            object.__setattr__(self, "positions", torch.arange(len(self.images)))
        assert len(self.positions) == len(self.images)
        require_sound(self.images, self.labels, self.about)
        channels = len(self.normalisation.mean)
        if channels != self.images.shape[1]:
            raise Mistake(
                f"images of {self.name} have {self.images.shape[1]} channels, and a normalisation "
                f"of {channels} was given"
            )

    @classmethod
    def sorted(cls, about: About, images: Tensor, labels: Tensor) -> "ImageSet":
        """From images in any order; within a class they keep theirs.

        Raises:
            Mistake: they have another shape than the dataset, or there is not one label an image.
        """
        require_fitting(images, labels, about)
        order = labels.long().argsort(stable=True)
        return cls(about, images[order], labels.long()[order], about.normalisation, order)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape))
        return f"ImageSet({self.name}, {len(self.present)} classes, images {shape})"

    def __len__(self) -> int:
        return len(self.images)

    @property
    def name(self) -> str:
        """Of the dataset."""
        return self.about.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of every class of the dataset, also of those not in this set."""
        return self.about.classes

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @functools.cached_property
    def present(self) -> list[int]:
        """The class ids that occur, ascending."""
        return self.labels.unique().tolist()

    def of_class(self, label: int) -> Tensor:
        """uint8 [n, C, H, W]: the images of one class, in the order of the dataset (a view)."""
        first, end = torch.searchsorted(self.labels, torch.tensor([label, label + 1])).tolist()
        return self.images[first:end]

    def only(self, labels: Sequence[int]) -> "ImageSet":
        """The images of these classes alone, with their original ids.

        Neighbours are a view; classes that lie apart are copied together.
        """
        rows = torch.isin(self.labels, torch.tensor([*labels])).nonzero()[:, 0]
        together = len(rows) and rows[-1] - rows[0] == len(rows) - 1
        part = self._where(slice(int(rows[0]), int(rows[-1]) + 1) if together else rows)
        part.__dict__["_digests"] = self._digests.shared_with(part.images)
        return part

    def parted(self, held: Mapping[int, int]) -> tuple["ImageSet", "ImageSet"]:
        """Two sets: of every class its first images, and its last `held[label]`."""
        last = torch.zeros(len(self), dtype=torch.bool)
        for label, count in held.items():
            own = (self.labels == label).nonzero()[:, 0]
            last[own[len(own) - count :]] = True
        return self._where(~last), self._where(last)

    def _where(self, kept: Tensor | slice) -> "ImageSet":
        """The images at these places; of a slice they are views."""
        parts = {name: getattr(self, name)[kept] for name in ("images", "labels", "positions")}
        return dataclasses.replace(self, **parts)

    def normalised_by(self, normalisation: Normalisation) -> "ImageSet":
        """The same images under another normalisation."""
        return dataclasses.replace(self, normalisation=normalisation)

    def digest(self) -> str:
        """sha256 over the shape, the images and the labels: 12 hexadecimal digits."""
        return digest(*self.contents())[:12]

    def contents(self) -> tuple[Tensor, ...]:
        """What stands for all images and labels in a digest."""
        return self.images, self.labels

    def digests(self) -> dict[str, str]:
        """Of the images of each class present, by class id: 12 hexadecimal digits."""
        own = {c: self._digests.of(c, lambda c=c: digest(self.of_class(c))) for c in self.present}
        return {str(label): sha256[:12] for label, sha256 in own.items()}

    @functools.cached_property
    def _digests(self) -> Digests:
        return Digests(self.images)


class Data(NamedTuple):
    """The two halves of a dataset."""

    train: ImageSet
    test: ImageSet

    def validation(self, share: float = 0.2) -> "Data":
        """The training images alone: the last `share` of every class stands for the test images.

        Choices (presets, learning rates) are made here, so that no test image takes part in them.

        Raises:
            Mistake: a class of one image, which cannot be parted.
        """
        counts = self.train.labels.bincount(minlength=len(self.train.classes)).tolist()
        for label in self.train.present:
            if counts[label] < 2:
                raise Mistake(
                    f"class '{self.train.classes[label]}' has one training image, so none can be "
                    "held back to judge on; judge on the test images, or add some"
                )
        held = {label: max(1, round(share * counts[label])) for label in self.train.present}
        return Data(*self.train.parted(held))

    def normalised_by(self, normalisation: Normalisation) -> "Data":
        """Both halves under another normalisation."""
        return Data(*(half.normalised_by(normalisation) for half in self))

    def digest(self) -> str:
        """sha256 over all images and labels: 12 hexadecimal digits."""
        return digest(*self.train.contents(), *self.test.contents())[:12]
