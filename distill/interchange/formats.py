"""What a file of somebody else's holds: images and maybe labels. Nothing in it is ever executed.

The kind of a file is told by its first bytes, never by its name:
    pickle and zip of torch.save   only by `torch.load(weights_only=True)`. Numbers of numpy, which
                                   stand in DC's and DM's files as accuracies, are let through.
    .npz, .npy                     only by `numpy.load(allow_pickle=False)`
    safetensors                    holds no code
What is taken from it:
    {'data': [[images, labels], ...], ...}   DC, DSA, DM, DataDAM: a set for each experiment
    [images, labels]                         IDC and those that follow it
    images                                   MTT: its labels are in another file
    named arrays                             the one of 3 dimensions or more is the images; of the
                                             others, the one called labels (y, targets ...), or the
                                             only one
"""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from numpy._core import multiarray
from torch import Tensor

from distill.runtime import reading
from distill.runtime.mistake import Mistake, short

NUMBERS = (
    (multiarray.scalar, "numpy.core.multiarray.scalar"),  # numpy 1
    (multiarray.scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType),
)
"""What a pickle may name besides tensors and plain values: it makes numbers and nothing else."""
LABELS = ("labels", "label", "targets", "target", "y")
"""What arrays of labels are called."""
PIXELS, RAW = "pixels", "raw"
"""Stands in our own files beside 'data', and says that the images are in pixel units."""
UNITS = "raw 0..1"
"""The way back from there (`pixels.Way.words`): nothing is left to be measured."""


class Unfit(ValueError):
    """What this file itself finds wrong, in words for users."""


class FileContents(NamedTuple):
    """One set of a file, as it lies there.

    Attributes:
        labels: None where the file has none. sets: how many the file holds.
        pixels: `UNITS` where the file itself says that its images are such, or None.
        classes: the names of all, where `pixels` is known and the file has them.
    """

    images: Tensor
    labels: Tensor | None
    sets: int = 1
    pixels: str | None = None
    classes: tuple[str, ...] | None = None


def read(path: Path, *, number: int = 0) -> FileContents:
    """Set `number`, from 0, of a file.

    Raises:
        Mistake: no such file, one that cannot be opened safely, no images in it, or no such set.
    """
    held = _opened(path)
    stated = isinstance(held, Mapping) and held.get(PIXELS)
    pairs = _pairs(held, path)
    if number >= len(pairs):
        raise Mistake(
            f"--set {number}: {path} holds {len(pairs)} set{'s' * (len(pairs) > 1)}; give 0"
            f"{f' to {len(pairs) - 1}' * (len(pairs) > 1)}"
        )
    images, labels = pairs[number]
    ours = isinstance(stated, str) and stated == RAW
    names = held.get("classes") if isinstance(held, Mapping) else None
    named = ours and isinstance(names, list) and all(isinstance(name, str) for name in names)
    classes = tuple(names) if named else None
    return FileContents(images, labels, len(pairs), UNITS if ours else None, classes)


def read_labels(path: Path) -> Tensor:
    """The one array of a file.

    Raises:
        Mistake: no such file, one that cannot be opened safely, or not one array in it.
    """
    held = _opened(path)
    values = list(held.values()) if isinstance(held, Mapping) else [held]
    arrays = [value for value in values if isinstance(value, Tensor)]
    if len(arrays) != 1:
        raise Mistake(f"--labels {path} holds {len(arrays)} arrays; give a file that holds one")
    return arrays[0]


# ------------------------------------------------------------------ what lies in it


def _pairs(held: Any, path: Path) -> list[tuple[Tensor, Tensor | None]]:
    """Images and labels of each set.

    Raises:
        Mistake: there are none.
    """
    if isinstance(held, Tensor):
        return [(held, None)]
    if isinstance(held, Mapping):
        return _pairs(held["data"], path) if "data" in held else [_named(held, path)]
    if _is_pair(held):
        return [(held[0], held[1])]
    if isinstance(held, Sequence) and held and all(_is_pair(one) for one in held):
        return [(one[0], one[1]) for one in held]
    raise _nothing(path, f"it holds {_shape(held)}")


def _is_pair(held: Any) -> bool:
    """Whether it is images with their labels."""
    pair = isinstance(held, list | tuple) and len(held) == 2
    return pair and all(isinstance(one, Tensor) for one in held) and held[0].ndim > held[1].ndim


def _named(held: Mapping[Any, Any], path: Path) -> tuple[Tensor, Tensor | None]:
    """Images and labels among named arrays.

    Raises:
        Mistake: they cannot be told from others.
    """
    arrays = {name: value for name, value in held.items() if isinstance(value, Tensor)}
    images = [value for value in arrays.values() if value.ndim >= 3]
    others = {name: value for name, value in arrays.items() if value.ndim in (1, 2)}
    known = [value for name, value in others.items() if str(name).lower() in LABELS]
    labels = known or list(others.values())
    if len(images) != 1 or len(labels) > 1:
        names = ", ".join(f"{name} {tuple(value.shape)}" for name, value in arrays.items())
        raise _nothing(path, f"it holds {short(names, 120) or 'no arrays'}")
    return images[0], labels[0] if labels else None


def _nothing(path: Path, why: str) -> Mistake:
    return Mistake(
        f"no images of a set in {path}: {why}; known are {{'data': [[images, labels], ...]}}, "
        "[images, labels], one array of images with --labels, and arrays called images and labels"
    )


def _shape(held: Any) -> str:
    """In words what a thing is."""
    size = f" of {len(held)}" if isinstance(held, list | tuple | dict) else ""
    return f"a {type(held).__name__}{size}"


# ------------------------------------------------------------------ opening


def _opened(path: Path) -> Any:
    """What a file holds, arrays as tensors.

    Raises:
        Mistake: it cannot be opened safely.
    """
    try:
        content = reading.whole(path)
    except FileNotFoundError as error:
        raise Mistake(f"no file at {path}; give the file that holds the images") from error
    except OSError as error:
        raise Mistake(f"cannot read {path}: {error.strerror}; give a file of images") from error
    try:
        return _by_kind(content)
    except Exception as error:  # libraries raise of all kinds, whatever is damaged
        raise Mistake(f"{path} is not opened: {_why(error)}") from error


def _by_kind(content: bytes) -> Any:
    if content.startswith(b"\x93NUMPY"):
        return torch.from_numpy(np.load(io.BytesIO(content), allow_pickle=False))
    if content.startswith(b"PK"):
        names = _require_small(content)
        if all(name.endswith(".npy") for name in names):
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    elif content[8:9] == b"{":
        return _tensors(content)
    with warnings.catch_warnings(), torch.serialization.safe_globals(list(NUMBERS)):
        warnings.simplefilter("ignore")
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _tensors(content: bytes) -> dict[str, Tensor]:
    """Of a safetensors file.

    Raises:
        Unfit: it is a set of this suite already.
    """
    held = safetensors.torch.load(content)
    if b'"facts":"{\\"classes\\":' in content[:512]:
        raise Unfit("it is a set of this suite already; use it as it is")
    return held


def _require_small(content: bytes) -> list[str]:
    """The names in a zip file, if what is packed in it is not beyond measure.

    Raises:
        Unfit: it is.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > reading.MOST:
        raise Unfit(f"what is packed in it is more than {reading.MOST} bytes")
    return [entry.filename for entry in entries]


def _why(error: Exception) -> str:
    """In a few words; what libraries say of it is for programmers, or to load it unsafely."""
    text = " ".join(str(error).split())
    named = re.search(r"GLOBAL (\S+)", text) or re.search(r"callable (\S+)", text)
    if isinstance(error, Unfit):
        return text
    if named:
        return (
            f"it names {short(named[1])}, code that the safe loader does not run; save plain "
            "tensors with torch.save"
        )
    if isinstance(error, ValueError) and "Object arrays" in text:
        return "it holds objects, not numbers; save plain arrays with numpy.savez"
    kinds = "give a .pt, .npz, .npy or .safetensors"
    return f"it is of another kind, damaged, or holds more than numbers; {kinds}"
