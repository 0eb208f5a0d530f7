"""ImageNet and Tiny ImageNet: their official layouts."""

import shutil
from hashlib import md5

import numpy as np
import pytest
from trees import MANY, SHADES, flat, kit, refused, require_right, tiny, tree, under, write, zipped

from distill import datasets
from distill.datasets import (
    _wordnet,
    imagenet,
    imagenette,
    tiny_imagenet,
)


@pytest.mark.parametrize("layout", ["official", "zip", "plain", "sorted"])
def test_tiny_imagenet_is_read_from_each_of_its_layouts(tmp_path, monkeypatch, layout):
    official, root = under("tiny-imagenet-200", tiny()), tmp_path
    if layout == "official":
        write(tmp_path, official)
    elif layout == "zip":
        path = zipped(tmp_path / "tiny-imagenet-200.zip", official)
        refused("tiny_imagenet", tmp_path, f"{path} has md5 .*: delete it and run again")
        refused("tiny_imagenet", path, f"{path} has md5 .*: give the official file")
        monkeypatch.setattr(tiny_imagenet, "MD5", md5(path.read_bytes()).hexdigest())
    elif layout == "plain":
        root = zipped(tmp_path / "mine.zip", tree(MANY, counts=(1, 1)))
    else:
        write(tmp_path, tree(MANY, counts=(1, 1), name="{half}/{c}/images/{n}.JPEG"))
    data = datasets.load("tiny_imagenet", root=root)
    require_right(data, MANY, counts=(1, 1))
    assert data.train.classes == tuple(MANY)
    assert data.train.shape == (3, 64, 64) and data.train.about.depth == 4


ROWS = {
    "a class named ..": (["val_0.JPEG\t..\t0\t0\t9\t9"], r"line 1: '\.\.' is no class of train"),
    "no class": (["val_0.JPEG"], "line 1: '' is no class of train"),
    "a picture twice": (["a\tn00000000", "a\tn00000001"], "line 2: 'a' again"),
    "no line": (["val_0.JPEG\tn00000000"], "val_1.JPEG has no line in val/val_annotations.txt"),
    "no text": (["\udcff"], "is no text that can be read"),
}


@pytest.mark.parametrize(("rows", "says"), ROWS.values(), ids=ROWS)
def test_annotations_that_do_not_fit_their_pictures_are_refused(tmp_path, rows, says):
    contents = tiny()
    contents["val/val_annotations.txt"] = "\n".join(rows).encode(errors="surrogateescape")
    refused("tiny_imagenet", write(tmp_path, contents), says)


def test_official_files_that_lack_something_are_refused(tmp_path):
    contents = tiny()
    write(tmp_path, contents)
    (tmp_path / "val/images/val_7.JPEG").unlink()
    refused("tiny_imagenet", tmp_path, "val/images lacks 'val_7.JPEG', of which .* has a line")
    (tmp_path / "wnids.txt").write_text("..\n")
    refused("tiny_imagenet", tmp_path, r"wnids.txt and .*train differ in class '\.\.'")
    shutil.rmtree(tmp_path / "train" / MANY[0])
    refused("tiny_imagenet", tmp_path, "train has 199 classes; Tiny ImageNet has 200")


def test_imagenet_is_read_sorted_and_as_its_val_is_packed(tmp_path, monkeypatch):
    """A tenth of its classes, for the sake of time."""
    root, wnids = tmp_path / "imagenet", MANY[:100]
    truth = np.random.RandomState(1).permutation(100).tolist()
    write(root, tree(wnids, counts=(1,), halves=("train",)) | flat(truth))
    write(root, {"test/ILSVRC2012_test_00000001.JPEG": SHADES[0]})
    refused("imagenet", tmp_path, "train has 100 classes; ImageNet-1K has 1000; other trees are")
    monkeypatch.setattr(imagenet, "CLASSES", 100)
    refused("imagenet", tmp_path, "val has no class folders; sort its pictures into val/<wnid>/")
    kit(root / _wordnet.KIT, truth, wnids)
    data = datasets.load("imagenet", root=tmp_path)
    require_right(data, wnids, counts=(1, 1))
    assert data.train.classes == tuple(wnids) and data.train.shape == (3, 64, 64)
    (root / "val" / "ILSVRC2012_val_00000001.JPEG").unlink()
    refused("imagenet", tmp_path, "val holds 99 pictures, and .* says the classes of 100")
    shutil.rmtree(root / "val")
    write(root, tree(wnids, counts=(1,), halves=("val",)))
    require_right(datasets.load("imagenet", root=tmp_path), wnids, counts=(1, 1))


def test_a_subset_is_taken_out_of_a_val_as_it_is_packed(tmp_path):
    wnids = [*MANY[:50], *imagenette.CLASSES]
    truth = [*range(50, 60), 0, 1]
    val = flat([place - 50 for place in truth])
    write(tmp_path, tree(imagenette.CLASSES, counts=(2,), halves=("train",)) | val)
    kit(tmp_path / _wordnet.KIT, truth, wnids)
    require_right(datasets.load("imagenette", root=tmp_path), imagenette.CLASSES)
    shutil.rmtree(tmp_path / _wordnet.KIT)
    kit(tmp_path / _wordnet.KIT, [51, *truth[1:]], wnids)
    refused("imagenette", tmp_path, "val holds no picture of class n01440764; give all classes")


def test_the_kit_of_a_zip_lies_beside_it(tmp_path):
    truth, wnids = [*range(10)], [*imagenette.CLASSES]
    path = zipped(tmp_path / "x.zip", tree(wnids, counts=(1,), halves=("train",)) | flat(truth))
    refused("imagenette", path, f"put the unpacked {_wordnet.KIT} into {tmp_path}, which says")
    kit(tmp_path / _wordnet.KIT, truth, wnids)
    require_right(datasets.load("imagenette", root=path), wnids, counts=(1, 1))
