"""Pictures as others made them, turned upright, made RGB and square, as pixels.

A picture is known by its content, not by its name. Damage to a PNG is seen, since it holds
checksums; in a JPEG it may be seen, and else makes another dataset: its digest is part of all that
is made of it.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Those that Pillow decodes itself: for others it starts programs."""


def decode(content: bytes, size: int) -> Tensor:
    """uint8 [3, size, size]: the shorter side is scaled to `size`, and the middle kept.

    What is behind a transparent pixel is shown.

    Raises:
        Exception: of many kinds, as Pillow has them, whatever is damaged; a ValueError where the
            values of the pixels have no known range.
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        picture.verify()  # the checksums that a PNG holds, which decoding passes over
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        upright = _eight_bit(ImageOps.exif_transpose(picture)).convert("RGB")
        fitted = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1).contiguous()


def has_ending(name: str) -> bool:
    """Whether a file is named as a picture that can be read."""
    formats = Image.registered_extensions()
    return formats.get(PurePosixPath(name).suffix.lower()) in FORMATS


@contextlib.contextmanager
def no_warning_ignored() -> Iterator[None]:
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
