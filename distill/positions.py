"""Real images named one by one: a CSV file of their places in the dataset's own order.

What a configuration keeps of such a file is its content, in one line of text, so that a set or a
record says on its own which images they were, wherever the file lies.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from distill.images import ImageSet
from distill.runtime import reading
from distill.runtime.mistake import Mistake

PREFIX = "positions "
MOST = 2**26
"""Bytes of such a file."""
NUMBER = r" *[0-9]{1,12} *"


def read(path: str) -> str:
    """`positions 0:5,7 1:3` of a CSV file with the columns class and position.

    position counts all training images in the order of the dataset's files, from 0; class is an
    id. Lines that begin with # are left out.

    Raises:
        Mistake: no such file, or it holds something else.
    """
    by_class: dict[int, list[int]] = {}
    try:
        for label, position in _rows(reading.whole(Path(path), most=MOST)):
            by_class.setdefault(label, []).append(position)
        if not by_class:
            raise ValueError("it names no image")
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise Mistake(
            f"{path} does not say with which images to start ({_reason(error)}); give a CSV file "
            "with the columns class and position, both whole numbers"
        ) from error
    if any(len(set(own)) < len(own) for own in by_class.values()):
        raise Mistake(f"{path} names an image twice; leave one out")
    classes = sorted(by_class.items())
    return PREFIX + " ".join(f"{label}:{','.join(map(str, own))}" for label, own in classes)


def _reason(error: Exception) -> str:
    """Why a table is refused: as `_rows` says it; of what libraries raise, in words for users."""
    if isinstance(error, OSError):
        return error.strerror
    if isinstance(error, KeyError):
        return f"it has no column {error}"
    return str(error) if type(error) is ValueError else "it is no table of text"


def _rows(content: bytes) -> Iterator[tuple[int, int]]:
    """The class and the position of each row.

    Raises:
        ValueError, KeyError, csv.Error: it is no such table.
    """
    lines = io.StringIO(content.decode("utf-8-sig"), newline="")
    table = csv.DictReader(line for line in lines if line.strip() and line[0] != "#")
    names = ("class", "position")
    for name in names:
        if (table.fieldnames or []).count(name) > 1:
            raise ValueError(f"it has two columns {name}")
    for row in table:
        cells = [row[name] for name in names]
        for cell in cells:
            if not re.fullmatch(NUMBER, cell or ""):
                raise ValueError(f"{cell!r:.40} is no whole number, or a number below 0")
        label, position = map(int, cells)
        yield label, position


def are(text: str) -> bool:
    """Whether `text` is one that `read` returns."""
    return re.fullmatch(rf"{PREFIX}\d+:\d+(,\d+)*( \d+:\d+(,\d+)*)*", text) is not None


def images(text: str, real: ImageSet, label: int, count: int) -> Tensor:
    """uint8 [count, C, H, W]: the first `count` images of a class that `read`'s text names.

    Raises:
        Mistake: it names fewer, or one that is no image of that class here.
    """
    named = dict(part.split(":") for part in text.removeprefix(PREFIX).split())
    places = [int(place) for place in named.get(str(label), "").split(",") if place][:count]
    if len(places) < count:
        raise Mistake(
            f"--method.start names {len(places)} images of class '{real.classes[label]}' where "
            f"{count} are needed; name as many for every class"
        )
    same = real.positions[real.labels == label] == torch.tensor(places)[:, None]
    for place, known in zip(places, same.any(1).tolist(), strict=True):
        if not known:
            raise Mistake(
                f"--method.start names image {place}, which is no training image of class "
                f"'{real.classes[label]}' here; positions count from 0 in the dataset's own order"
            )
    return real.of_class(label)[same.int().argmax(1)]
