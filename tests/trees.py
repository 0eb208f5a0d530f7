"""Trees and archives of pictures in official layouts, for tests; what they give when read."""

import io
import itertools
import tarfile
import zipfile

import numpy as np
import pytest
import scipy.io
from PIL import Image

from distill import datasets
from distill.datasets import (
    imagenette,
    imagesquawk,
    imagewoof,
)
from distill.mapped import MappedImages
from distill.runtime.mistake import Mistake

SUBSETS = {"imagenette": imagenette, "imagewoof": imagewoof, "imagesquawk": imagesquawk}
OFFICIAL = {"imagenette": "imagenette2-160", "imagewoof": "imagewoof2-160"}
MANY = [f"n{number:08}" for number in range(200)]
HALVES = ("train", "val")


def packed(picture, format="JPEG", **more):
    file = io.BytesIO()
    picture.save(file, format, **more)
    return file.getvalue()


def shade(level):
    """A picture of one grey, which a JPEG keeps to a level or so."""
    return packed(Image.new("RGB", (12, 10), (level, level, level)), quality=95)


SHADES = [shade(level) for level in range(0, 250, 10)]


def write(root, contents):
    """Files by their names."""
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def tree(classes, *, counts=(2, 1), halves=HALVES, name="{half}/{c}/{c}_{n}.JPEG"):
    """The files of a tree; a picture's shade says its class, 10 levels a class."""
    return {
        name.format(half=half, c=c, n=n): SHADES[place % 25]
        for half, count in zip(halves, counts, strict=True)
        for place, c in enumerate(classes)
        for n in range(count)
    }


def zipped(path, contents):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return path


def tarred(path, contents):
    with tarfile.open(path, "w:gz") as file:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def under(top, contents):
    return {f"{top}/{name}": content for name, content in contents.items()}


def names(root):
    return sorted(path.name for path in root.iterdir())


def require_right(data, classes, counts=(2, 1)):
    """The classes in their order, each picture in its own."""
    for half, count in zip(data, counts, strict=True):
        assert isinstance(half, MappedImages) and len(half) == count * len(classes)
        assert half.labels.tolist() == [n for n in range(len(classes)) for _ in range(count)]
        means = half.images.float().mean((1, 2, 3))
        places = (means / 10).round().long()
        assert (means - 10 * places).abs().max() < 3
        assert places.tolist() == [label % 25 for label in half.labels.tolist()]
    assert data.test.classes == data.train.classes


def refused(name, root, says, **given):
    with pytest.raises(Mistake, match=says) as mistake:
        datasets.load(name, root=root, **given)
    assert str(mistake.value).isprintable()


def tiny(*, rows=None, ids=None):
    """The official layout of Tiny ImageNet; the pictures of val are in no order."""
    wnids = MANY
    official = tree(wnids, counts=(1,), halves=("train",), name="{half}/{c}/images/{c}_{n}.JPEG")
    boxes = {f"train/{c}/{c}_boxes.txt": b"0 0 1 1" for c in wnids}
    order = np.random.RandomState(0).permutation(200)
    val = {f"val/images/val_{n}.JPEG": SHADES[place % 25] for n, place in enumerate(order)}
    rows = rows or [f"val_{n}.JPEG\t{wnids[place]}\t0\t0\t9\t9" for n, place in enumerate(order)]
    texts = {
        "val/val_annotations.txt": "\n".join([*rows, ""]).encode(),
        "wnids.txt": "\n".join([*reversed(ids or wnids), ""]).encode(),
        "words.txt": b"n00000000\tentity\n",
        "test/images/test_0.JPEG": SHADES[0],
    }
    return official | boxes | val | texts


def kit(root, truth, wnids):
    """ImageNet's development kit: classes by number, and those of the pictures in val."""
    kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("gloss", "O")]
    known = np.zeros(len(wnids) + 1, dtype=[*kinds, ("num_children", "f8")])
    numbers = np.random.RandomState(0).permutation(len(wnids)) + 1
    for row, wnid in enumerate(wnids):
        known[row] = numbers[row], wnid, "a, b", "thing", 0
    known[-1] = len(wnids) + 1, "n77777777", "all", "thing", len(wnids)
    (root / "data").mkdir(parents=True)
    scipy.io.savemat(root / "data" / "meta.mat", {"synsets": known})
    lines = "".join(f"{numbers[place]}\n" for place in truth)
    (root / "data" / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)


def flat(truth):
    files = (f"val/ILSVRC2012_val_{n:08}.JPEG" for n in itertools.count(1))
    return {name: SHADES[place % 25] for name, place in zip(files, truth, strict=False)}
