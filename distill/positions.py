"""Real images named one by one: a CSV file of their places among the dataset's training images.

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
from distill.runtime.mistake import Mistake, short

PREFIX = "positions "
MOST = 2**26
"""Bytes of such a file."""
NUMBER = r" *[0-9]{1,12} *"


def read(path: str) -> str:
    """`positions 0:5,7 1:3` of a CSV file with the columns class and position.

    position is one of `data.train.positions`: it counts the dataset's own training images, of all
    classes, from 0. class is an id. Lines that begin with # are left out.

    Raises:
        Mistake: no such file, or it holds something else.
    """
    try:
        rows = list(_rows(reading.whole(Path(path), most=MOST)))
        if not rows:
            raise ValueError("it names no image")
    except (OSError, ValueError, csv.Error) as error:
        raise Mistake(
            f"{path} does not say with which images to start ({_reason(error)}); give a CSV file "
            "with the columns class and position, both whole numbers"
        ) from error
    by_class: dict[int, dict[int, None]] = {}
    for line, label, position in rows:
        own = by_class.setdefault(label, {})
        if position in own:
            raise Mistake(f"line {line} of {path} names image {position} again; leave one out")
        own[position] = None
    classes = sorted(by_class.items())
    return PREFIX + " ".join(f"{label}:{','.join(map(str, own))}" for label, own in classes)


def _reason(error: Exception) -> str:
    """Why a table is refused: as `_rows` says it; of what libraries raise, in words for users."""
    if isinstance(error, OSError):
        return error.strerror
    return str(error) if type(error) is ValueError else "it is no table of text"


def _rows(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The line, the class and the position of each row.

    Raises:
        ValueError, csv.Error: it is no such table.
    """
    lines = io.StringIO(content.decode("utf-8-sig"), newline="")
    kept = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    table = csv.DictReader(line for _, line in kept)
    names, found = ("class", "position"), table.fieldnames
    for name in names if found is not None else ():
        if found.count(name) > 1:
            raise ValueError(f"it has two columns {name}")
        if name not in found:
            raise ValueError(f"it has no column {name}, but {short(', '.join(map(repr, found)))}")
    for row in table:
        line = kept[table.line_num - 1][0]
        cells = [row[name] for name in names]
        for cell in cells:
            if not re.fullmatch(NUMBER, cell or ""):
                raise ValueError(f"line {line}: {cell!r:.40} is no whole number of 0 or more")
        label, position = map(int, cells)
        yield line, label, position


def are(text: str) -> bool:
    """Whether `text` is one that `read` returns."""
    return re.fullmatch(rf"{PREFIX}\d+:\d+(,\d+)*( \d+:\d+(,\d+)*)*", text) is not None


def images(text: str, real: ImageSet, label: int, count: int) -> Tensor:
    """uint8 [count, C, H, W]: the first `count` images of a class that `read`'s text names.

    Raises:
        Mistake: it names fewer, one that is no image of that class here, or a class that the
            dataset has not.
    """
    named = dict(part.split(":") for part in text.removeprefix(PREFIX).split())
    strangers = named.keys() - set(map(str, range(len(real.classes))))
    if strangers:
        raise Mistake(
            f"--method.start names images of class {short(min(strangers))}; the classes of "
            f"{real.name} are 0 to {len(real.classes) - 1}: leave others out"
        )
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
                f"'{real.classes[label]}' here; positions count {real.name}'s training images, of "
                "all classes, from 0, as data.train.positions does"
            )
    return real.of_class(label)[same.int().argmax(1)]
