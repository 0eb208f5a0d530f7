"""Your own images: a tree train/<class>/*, test/<class>/* of pictures.

`val` is taken for `test` where there is no `test`, as in ImageNet's subsets. A picture is known by
its content, not by its name. Damage to a PNG is seen, since it holds checksums; in a JPEG it may
be seen, and else makes another dataset: its digest is part of all that is made of it.
"""

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime import reading
from distill.runtime.mistake import Mistake

ABOUT = About("folder", Normalisation.fixed(3))
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Those that Pillow decodes itself: for others it starts programs."""
MOST = 2**28
"""Bytes of a picture's file."""


def load(root: Path, about: About) -> Data:
    """All pictures under `root`, RGB, at the size of `about`; normalisation fixed, not fitted.

    Raises:
        Mistake: what `read` raises.
    """
    return read(root, dataclasses.replace(about, name=f"folder-{root.resolve().name}"))


def read(root: Path, about: About) -> Data:
    """Decode `root`/train and `root`/test; the shorter side is scaled to size, the rest cropped.

    Class ids follow the alphabetical order of the folders in train.

    Raises:
        Mistake: a folder is missing or cannot be read, holds no class, a class holds no picture, a
            file is no picture, or test has other classes than train.
    """
    classes = _classes(root / "train")
    test = "val" if (root / "val").is_dir() and not (root / "test").is_dir() else "test"
    strangers = set(_classes(root / test)) ^ set(classes)
    if strangers:
        raise Mistake(
            f"{root}/train and {root}/{test} differ in class '{min(strangers)}'; give both the "
            "same class folders"
        )
    named = dataclasses.replace(about, classes=tuple(classes))
    return Data(*(pictures(root / half, named) for half in ("train", test)))


def pictures(root: Path, about: About) -> ImageSet:
    """Decode `root`/<class>/* for every class of `about`, in the order of their files' names.

    Raises:
        Mistake: a class folder is missing, holds no picture, or a file in it is no picture.
    """
    size = about.shape[-1]
    paths = [(p, label) for label, c in enumerate(about.classes) for p in _files(root / c)]
    with _no_warning_ignored(), ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda item: _decode(item[0], size), paths))
    labels = torch.tensor([label for _, label in paths])
    return ImageSet.sorted(about, torch.stack(images), labels)


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, but for hidden files."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise Mistake(
            f"cannot read folder {folder} ({error.strerror}); --data-root takes a folder with "
            "train/<class>/ and test/<class>/ in it"
        ) from error


def _classes(folder: Path) -> list[str]:
    entries = _entries(folder)
    classes = [path.name for path in entries if path.is_dir()]
    if not classes:
        raise Mistake(f"{folder} has no class folders; put the pictures into {folder}/<class>/")
    for path in entries:
        if not path.name.isprintable() or not (path.is_dir() or path.is_file()):
            raise Mistake(
                f"{str(path)!r} is no class folder that can be read: a link to nothing, or a name "
                "that is no text; mend or remove it"
            )
    return classes


def _files(folder: Path) -> list[Path]:
    files = _entries(folder)
    if not files:
        raise Mistake(f"class folder {folder} holds no images; add some or remove the folder")
    for path in files:
        if not path.is_file():
            raise Mistake(
                f"{path} is no picture but a folder, a link to nothing or a device; pictures lie "
                "in the folder of their class: move or remove it"
            )
    return files


def _decode(path: Path, size: int) -> Tensor:
    """uint8 [3, size, size]."""
    try:
        content = reading.whole(path, most=MOST)
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.verify()  # the checksums that a PNG holds, which decoding passes over
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            upright = ImageOps.exif_transpose(_eight_bit(picture)).convert("RGB")
            fitted = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    except Exception as error:  # Pillow raises of many kinds, whatever is damaged
        raise Mistake(f"{path} is not an image that can be read; mend or remove it") from error
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1).contiguous()


@contextlib.contextmanager
def _no_warning_ignored() -> Iterator[None]:
    """What Pillow warns of, damage and sizes beyond measure, is an error in all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("error", message="(?i).*(corrupt|truncated)", category=UserWarning)
        yield


def _eight_bit(picture: Image.Image) -> Image.Image:
    """A picture of 8 bits a value: Pillow's own conversion would turn 16-bit ones white.

    Raises:
        ValueError: its values have no known range.
    """
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) / 257).round().astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError(f"mode {picture.mode}")
    return picture
