"""A distilled (or selected) set of images: saved without pickle, exported, iterated over."""

import dataclasses
import io
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from distill.files import write_atomically
from distill.images import ImageSet
from distill.mistake import Mistake


@dataclasses.dataclass(frozen=True, eq=False)
class SyntheticSet(Dataset):
    """A few images per class and how they were made.

    As a `torch.utils.data.Dataset` its items are (float [C, H, W], int): the image in pixel units,
    to be normalised as the real images are.

    Attributes:
        images: float32 [N, C, H, W] in pixel units: 0 black, 1 white; learned images may lie
            outside.
        labels: int64 [N], indices into `classes`.
        classes: the name of every class of the dataset.
        made: how: method, dataset, its digest, ipc, configuration, seed, normalisation, versions.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    made: dict[str, Any]

    def __post_init__(self) -> None:
        assert self.images.dtype == torch.float32 and self.images.ndim == 4
        assert self.labels.dtype == torch.int64 and len(self.labels) == len(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])

    @property
    def stored_bytes(self) -> int:
        """What the images take: 1 byte a value if all are real pixels (n / 255), else 4."""
        levels = self.images * 255
        real = bool((levels - levels.round()).abs().max() < 1e-3)
        return self.images.numel() * (1 if real else 4)

    def only(self, labels: Sequence[int], *, digest: str) -> "SyntheticSet":
        """The images of these classes, as made of real images with this digest."""
        kept = torch.isin(self.labels, torch.tensor(labels))
        made = {**self.made, "digest": digest}
        return SyntheticSet(self.images[kept], self.labels[kept], self.classes, made)

    def save(self, path: Path) -> None:
        """Write one safetensors file, whole or not at all.

        Raises:
            Mistake: the folder cannot be written to.
        """
        tensors = {"images": self.images.contiguous(), "labels": self.labels}
        metadata = {"classes": json.dumps(self.classes), "made": json.dumps(self.made)}
        write_atomically(path, safetensors.torch.save(tensors, metadata))

    @classmethod
    def load(cls, path: Path) -> "SyntheticSet":
        """Read what `save` wrote; nothing in the file is ever executed.

        Raises:
            Mistake: no such file, a truncated one, or not a synthetic set.
        """
        try:
            with safetensors.safe_open(path, "pt") as file:
                images, labels = file.get_tensor("images"), file.get_tensor("labels")
                metadata = file.metadata() or {}
            classes, made = (json.loads(metadata[key]) for key in ("classes", "made"))
            return cls(images, labels, tuple(classes), made)
        except FileNotFoundError as error:
            raise Mistake(f"no synthetic set at {path}; make one: python -m distill") from error
        except (
            OSError,
            safetensors.SafetensorError,
            KeyError,
            ValueError,
            AssertionError,
        ) as error:
            raise Mistake(
                f"{path} is not a whole synthetic set ({error}); delete it and distil again"
            ) from error

    def export(self, folder: Path) -> None:
        """Write `<folder>/<class>/<number>.png` for every image, clipped to 0..1.

        The tree is the one that the dataset `folder` and torchvision's ImageFolder read. Pixels are
        8 bits and lie in 0..1: learned images lose what lies outside, and some accuracy with it.

        Raises:
            Mistake: the folder cannot be written to.
        """
        for label in self.labels.unique().tolist():
            name = self.classes[label].replace("/", "_")
            for number, image in enumerate(self.images[self.labels == label]):
                write_atomically(folder / name / f"{number:04}.png", _png(image))

    def grid(self, path: Path) -> None:
        """Write all images into one PNG: a row a class, or a column where that is less tall.

        Small images are enlarged; an image beyond 0..1 is shown with its own range (its 1st to
        99th percentile) squeezed into it, so that its pattern can be seen.

        Raises:
            Mistake: the folder cannot be written to.
        """
        from torchvision.utils import make_grid  # seconds to import

        images = torch.stack([_viewable(image) for image in self.images])
        images = images[self.labels.argsort(stable=True)]
        classes = len(self.labels.unique())
        columns = len(self) // classes
        if columns < classes <= 20 and len(self) == columns * classes:
            images = images.unflatten(0, (classes, columns)).transpose(0, 1).flatten(0, 1)
            columns = classes
        scale = max(1, 64 // images.shape[-1])
        images = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        sheet = make_grid(images, nrow=min(columns, 20), padding=2, pad_value=1)
        write_atomically(path, _png(sheet))


def _viewable(image: Tensor) -> Tensor:
    """[C, H, W] within 0..1."""
    low, high = image.flatten().quantile(torch.tensor([0.01, 0.99])).tolist()
    low, high = min(low, 0.0), max(high, 1.0)
    return (image - low) / (high - low)


def _png(image: Tensor) -> bytes:
    """float [C, H, W] in pixel units to the bytes of a PNG file."""
    pixels = image.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu()
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(2).numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def made_by(
    method: str,
    real: ImageSet,
    *,
    ipc: int,
    config: Any,
    seed: int,
    images: Tensor,
    labels: Tensor,
) -> SyntheticSet:
    """A `SyntheticSet` with how it was made filled in.

    Args:
        images: [N, C, H, W] in pixel units, on any device.
        labels: [N].
    """
    made = {
        "method": method,
        "dataset": real.name,
        "digest": real.digest(),
        "ipc": ipc,
        "config": dataclasses.asdict(config),
        "seed": seed,
        "normalisation": real.normalisation.describe(),
        "versions": {name: version(name) for name in ("torch", "torchvision")},
    }
    return SyntheticSet(images.detach().float().cpu(), labels.cpu(), real.classes, made)


def merge(sets: Sequence[SyntheticSet]) -> SyntheticSet:
    """One set of all the images, in the order given; `made` is the first one's."""
    first = sets[0]
    images = torch.cat([part.images for part in sets])
    return SyntheticSet(images, torch.cat([p.labels for p in sets]), first.classes, first.made)


def require_ipc(real: ImageSet, ipc: int) -> None:
    """Check that every class present has at least `ipc` images.

    Raises:
        Mistake: ipc below 1, or above the smallest class.
    """
    if ipc < 1:
        raise Mistake(f"{ipc} images per class is not a set; --ipc takes 1 or more")
    counts = real.labels.bincount(minlength=len(real.classes))
    smallest = min(real.present, key=lambda label: int(counts[label]))
    if ipc > counts[smallest]:
        raise Mistake(
            f"--ipc {ipc} is more than the {int(counts[smallest])} images of class "
            f"'{real.classes[smallest]}' of {real.name}; choose at most that"
        )
