"""The picture: a row a set, the same classes in columns."""

import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from benchmarks.gallery.worth import JudgedSets
from benchmarks.order import in_order
from distill.runtime.mistake import short
from distill.sets.gallery import GAP, enlarged, fitting, picture
from distill.synthetic import SyntheticSet

LARGE, SMALL = ImageFont.load_default(14), ImageFont.load_default(12)
"""Of a row's name, and of all else."""
GREY = "#555555"
EDGE, APART, LINE = 12, 8, 17
"""Pixels around all of it, between two classes, and from a line of text to the next."""
FEWEST = 64
"""Pixels that a class takes across at least, so that its name can be read."""


def draw(sets: Sequence[SyntheticSet], judged: JudgedSets, *, each: int, most: int) -> Tensor:
    """Float [3, H, W] within 0..1; images are shown as they are stored.

    Rows stand in the order of tables and figures.

    Args:
        each, most: images of a class, and classes, that are shown at most: the first ones.
    """
    rows = _rows(sets, judged)
    shared = sorted(set.intersection(*(set(own.labels.tolist()) for own in sets)))[:most]
    held = max(int((own.labels == label).sum()) for own in sets for label in shared)
    columns, side = min(each, held), enlarged(sets[0].images.shape[-1])
    wide = max(columns * (side + GAP) - GAP, FEWEST)
    heads = [LARGE.getlength(name) for name, _ in rows]
    heads += [SMALL.getlength(judged.accuracy(own.digest())) for own in sets]
    left, top = EDGE + int(max(heads)) + 2 * APART, EDGE + LINE + APART // 2
    width = left + len(shared) * (wide + APART) - APART + EDGE
    said = _said(judged, columns, held, width - 2 * EDGE)
    height = top + len(rows) * (side + APART) + len(said) * LINE + EDGE * bool(said)
    canvas = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(canvas)
    places = {label: left + n * (wide + APART) for n, label in enumerate(shared)}
    for label, x in places.items():
        pen.text((x, EDGE), fitting(sets[0].classes[label], wide, SMALL), "black", SMALL)
    for place, (name, own) in enumerate(rows):
        y, accuracy = top + place * (side + APART), judged.accuracy(own.digest())
        middle = y + side // 2 - LINE * (1 if accuracy else 0.5)
        pen.text((EDGE, middle), name, "black", LARGE)
        pen.text((EDGE, middle + LINE + 2), accuracy, GREY, SMALL)
        for label, x in places.items():
            for number, image in enumerate(own.images[own.labels == label][:columns]):
                canvas.paste(picture(image, side), (x + number * (side + GAP), y))
    for number, line in enumerate(said):
        pen.text((EDGE, height - EDGE - (len(said) - number) * LINE), line, GREY, SMALL)
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1).float() / 255


def title(sets: Sequence[SyntheticSet], judged: JudgedSets) -> str:
    """What is drawn, in a line: the dataset, the images a class, the rows."""
    ipcs = " or ".join(map(str, sorted({own.made.ipc for own in sets})))
    rows = ", ".join(name for name, _ in _rows(sets, judged))
    return f"{sets[0].made.dataset['name']}, {ipcs} image{'s' * (ipcs != '1')} a class: {rows}"


def _rows(sets: Sequence[SyntheticSet], judged: JudgedSets) -> list[tuple[str, SyntheticSet]]:
    """Each set and its name: its record's, else its method's, with what tells it from others."""
    named = [judged.labels.get(own.digest(), own.made.method) for own in sets]
    rows: list[tuple[str, SyntheticSet]] = []
    for name, own in zip(named, sets, strict=True):
        alike = [s.made.config for s, other in zip(sets, named, strict=True) if other == name]
        settings = own.made.config.items()
        told = [f"{key}={short(v)}" for key, v in settings if any(c.get(key) != v for c in alike)]
        full = " ".join([name, *told])
        count = sum(other.partition(" (")[0] == full for other, _ in rows)
        rows.append((f"{full} ({count + 1})" if count else full, own))
    order = in_order(name for name, _ in rows)
    return sorted(rows, key=lambda row: order.index(row[0]))


def _said(judged: JudgedSets, columns: int, held: int, width: int) -> list[str]:
    """What is shown, and what the accuracies are, in lines of so many pixels."""
    first = "The first" if columns == 1 else f"The first {columns}"
    shown = f"{first} of {held} images a class. " if columns < held else ""
    if judged.setting:
        shown += "Accuracy of networks trained on these very sets, mean over n networks: "
        shown += f"{judged.setting}."
    return textwrap.wrap(shown, int(width / SMALL.getlength(shown) * len(shown))) if shown else []
