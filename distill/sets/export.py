"""Pictures of a set in a folder of folders, one a class, that other programs can read.

Names of classes come from files that anybody may have made: none reaches a path unchecked. What was
written here is known by a mark within each picture, so that a new export takes the place of an
earlier one whole, and never that of a file of a user's own.
"""

import io
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from distill.runtime.files import require_writable, write_atomically
from distill.runtime.mistake import Mistake

MARK = "exported by python -m distill"
"""Stands in every picture that is exported."""
HEAD = 512
"""Bytes of a picture within which the mark lies."""
LONGEST = 100
"""Characters of a folder's name."""
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])([.].*)?", re.IGNORECASE)
"""Names that Windows has for itself."""


def write(images: Tensor, labels: Tensor, classes: Sequence[str], folder: Path) -> None:
    """Write `<folder>/<class>/<number>.png` for every image, in the place of an earlier export.

    Args:
        images: float [M, C, H, W] in pixel units; clipped to 0..1. labels: int64 [M].

    Raises:
        Mistake: as `require_room`.
    """
    earlier, written = require_room(folder), set()
    names = folder_names(classes)
    for label in labels.unique().tolist():
        for number, image in enumerate(images[labels == label]):
            path = folder / names[label] / f"{number:04}.png"
            write_atomically(path, png(image, mark=MARK))
            written.add(_file(path))
    for path in earlier:
        if _file(path) in written:  # a disk may not tell cat from Cat
            continue
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _file(path: Path) -> tuple[int, int]:
    """Which file lies there, whatever its name."""
    known = path.lstat()
    return known.st_dev, known.st_ino


def require_room(folder: Path) -> list[Path]:
    """The pictures of an earlier export into `folder`.

    Raises:
        Mistake: the folder cannot be written to, or holds anything else.
    """
    require_writable(folder)
    pictures: list[Path] = []
    for place, inner, files in os.walk(folder):
        for name in (*inner, *files):
            path = Path(place, name)
            ours = not path.is_symlink() and (path.is_dir() or _marked(path))
            if not ours and not name.startswith("."):
                raise Mistake(
                    f"{folder} holds {path.relative_to(folder)}, which is of no earlier "
                    "export; name a folder that is empty or not there yet"
                )
            if name in files and ours:
                pictures.append(path)
    return pictures


def require_ours(path: Path) -> None:
    """Check that a file is not there, or that an earlier export wrote it.

    Raises:
        Mistake: it is a user's own.
    """
    if os.path.lexists(path) and (path.is_symlink() or not _marked(path, within=-1)):
        raise Mistake(
            f"{path} is of no earlier export; name a folder that is empty or not there yet"
        )


def _marked(path: Path, *, within: int = HEAD) -> bool:
    """Whether the mark stands within so many bytes, or anywhere (-1)."""
    if not path.is_file():  # a pipe might never end
        return False
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(within)
    except OSError:
        return False


def folder_names(classes: Sequence[str]) -> list[str]:
    """A folder's name for each class: its own where that is one, and no two alike.

    Two are alike also where they differ in case or in how an accent is written, since file systems
    take such for one.
    """
    cleaned = [_cleaned(name) for name in classes]
    names, taken = [""] * len(classes), set()
    # Names that can stay as they are come first.
    for label in sorted(range(len(classes)), key=lambda c: (cleaned[c] != classes[c], c)):
        name = cleaned[label]
        while _alike(name) in taken:
            name = f"{name}-{label}"
        taken.add(_alike(name))
        names[label] = name
    return names


def _cleaned(name: str) -> str:
    printable = "".join("_" if unicodedata.category(c)[0] == "C" else c for c in name)
    cleaned = re.sub(r'[/\\:*?"<>|]', "_", printable)[:LONGEST].rstrip(". ")
    if not cleaned or cleaned[0] in ". " or RESERVED.fullmatch(cleaned):
        cleaned = f"_{cleaned}"
    while len(cleaned.encode()) > 2 * LONGEST:
        cleaned = cleaned[:-1]
    return cleaned


def _alike(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def png(image: Tensor, *, mark: str | None = None, title: str | None = None) -> bytes:
    """float [C, H, W] in pixel units to the bytes of a PNG file, which says both."""
    pixels = image.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu()
    text = PngImagePlugin.PngInfo()
    for name, said in (("Software", mark), ("Title", title)):
        if said is not None:
            text.add_text(name, said)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(2).numpy()).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()
