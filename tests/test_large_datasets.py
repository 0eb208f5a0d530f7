"""ImageNet and its subsets: official layouts, archives and trees that are not what they should be.

Every tree is written here, in the official layout, with pictures of a few bytes.
"""

import errno
import io
import itertools
import os
import shutil
import signal
import tarfile
import time
import weakref
import zipfile
from hashlib import md5
from multiprocessing import get_context

import numpy as np
import pytest
import scipy.io
import torch
import torchvision
from PIL import Image

from distill import __main__ as distill_command
from distill import datasets
from distill.datasets import (
    _archive,
    _decoded,
    _pictures,
    _tree,
    _wordnet,
    folder,
    imagenet,
    imagenette,
    imagesquawk,
    imagewoof,
    tiny_imagenet,
)
from distill.mapped import MappedImages
from distill.runtime import files
from distill.runtime.mistake import Mistake

from conftest import eventually, write_tree

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


@pytest.fixture
def offline(monkeypatch):
    def fetch(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(_archive, "fetch", fetch)


def refused(name, root, says, **given):
    with pytest.raises(Mistake, match=says) as mistake:
        datasets.load(name, root=root, **given)
    assert str(mistake.value).isprintable()


# ------------------------------------------------------------------ layouts


@pytest.mark.parametrize("name", SUBSETS)
@pytest.mark.parametrize("layout", ["official", "root", "zip", "given zip", "names", "test"])
def test_a_subset_is_read_from_each_of_its_layouts(tmp_path, name, layout):
    wnids, root = list(SUBSETS[name].CLASSES), tmp_path / "data"
    root.mkdir()
    top = OFFICIAL.get(name, name)
    if layout == "official":
        write(root, under(top, tree(wnids)))
    elif layout == "root":
        write(root, tree(wnids))
    elif layout == "zip":
        zipped(root / f"{top}.zip", under("whatever", tree(wnids)))
    elif layout == "given zip":
        root = zipped(tmp_path / "mine.zip", tree(wnids))
    elif layout == "names":
        write(root, tree(SUBSETS[name].CLASSES.values()))
    else:
        write(root, tree(wnids, halves=("train", "test")))
    data = datasets.load(name, root=root)
    require_right(data, wnids)
    assert data.train.shape == (3, 128, 128) and data.train.about.depth == 5
    assert data.train.classes == tuple(SUBSETS[name].CLASSES.values())


@pytest.mark.parametrize("name", SUBSETS)
def test_a_subset_is_taken_out_of_the_tree_of_imagenet(tmp_path, name):
    wnids = list(SUBSETS[name].CLASSES)
    write(tmp_path / "imagenet", tree(wnids))
    write(tmp_path / "imagenet", tree(["n00000001", "n99999999"]))
    require_right(datasets.load(name, root=tmp_path), wnids)


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_archive_is_checked_unpacked_and_found_again(
    tmp_path, name, monkeypatch, offline
):
    top, wnids = OFFICIAL[name], list(SUBSETS[name].CLASSES)
    path = tarred(tmp_path / f"{top}.tgz", under(top, tree(wnids)))
    refused(name, tmp_path, f"{path} has md5 .*delete it and run again")
    assert names(tmp_path) == [path.name]
    digest = md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(SUBSETS[name].ARCHIVES, top, digest)
    require_right(datasets.load(name, root=tmp_path), wnids)
    assert names(tmp_path) == [top, path.name]
    path.unlink()
    require_right(datasets.load(name, root=tmp_path), wnids)


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_archive_may_be_the_data_root_itself(tmp_path, name, monkeypatch, offline):
    top, wnids = OFFICIAL[name], list(SUBSETS[name].CLASSES)
    path = tarred(tmp_path / f"{top}.tgz", under(top, tree(wnids)))
    refused(name, path, f"{path} has md5 .*: give the official file")
    digest = md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(SUBSETS[name].ARCHIVES, top, digest)
    for _ in range(2):
        require_right(datasets.load(name, root=path), wnids)
    assert names(tmp_path) == [top, path.name]


def test_a_half_unpacked_folder_is_not_taken_for_that_of_another_process(tmp_path, monkeypatch):
    top = "imagenette2-160"
    path = tarred(tmp_path / f"{top}.tgz", under(top, tree(imagenette.CLASSES)))
    monkeypatch.setitem(imagenette.ARCHIVES, top, md5(path.read_bytes()).hexdigest())
    write(tmp_path / top, {"val/n01440764/1.JPEG": SHADES[0]})
    refused("imagenette", tmp_path, f"{tmp_path / top} was there .*; delete that folder and run")
    shutil.rmtree(tmp_path / top)
    require_right(datasets.load("imagenette", root=tmp_path), imagenette.CLASSES)


def test_only_a_folder_is_left_in_the_place_of_a_folder(tmp_path):
    write(tmp_path, {"made/a": b"new", "folder/a": b"old", "file": b"old"})
    _archive.settle(tmp_path / "made", tmp_path / "folder")
    assert (tmp_path / "folder" / "a").read_bytes() == b"old"
    for made, place in (("made", "file"), ("file", "folder")):
        with pytest.raises(Mistake, match=f"cannot write {tmp_path / place}: "):
            _archive.settle(tmp_path / made, tmp_path / place)


def test_an_archive_of_the_right_digest_that_lacks_its_folder_is_refused(tmp_path, monkeypatch):
    path = tarred(tmp_path / "imagenette2-160.tgz", {"other/a": b"a"})
    digest = md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(imagenette.ARCHIVES, "imagenette2-160", digest)
    refused("imagenette", tmp_path, "is damaged .it lacks the folder imagenette2-160.; delete it")
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["tiny_imagenet", "imagenet", *SUBSETS])
def test_where_nothing_is_to_be_had_it_says_what_to_put_where(tmp_path, name, offline):
    refused(name, tmp_path / "none", f"no .* in {tmp_path / 'none'}.*train/<")
    assert not (tmp_path / "none").exists() or names(tmp_path / "none") == []


def test_the_archives_of_imagenette_are_those_that_torchvision_knows():
    known = torchvision.datasets.Imagenette._ARCHIVES
    theirs = {url.rpartition("/")[2].removesuffix(".tgz"): md5 for url, md5 in known.values()}
    assert theirs == imagenette.ARCHIVES
    assert list(torchvision.datasets.Imagenette._WNID_TO_CLASS) == list(imagenette.CLASSES)
    for module in SUBSETS.values():
        assert list(module.CLASSES) == sorted(module.CLASSES) and len(module.CLASSES) == 10


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


# ------------------------------------------------------------------ bad trees and archives


@pytest.fixture
def nette(tmp_path):
    return write(tmp_path / "imagenette2-160", tree(imagenette.CLASSES))


def test_a_class_that_is_there_twice_or_lacks_is_named(nette):
    write(nette, {"train/tench/1.JPEG": SHADES[0]})
    refused(
        "imagenette",
        nette,
        "train holds class 'tench' twice, as tench and as n01440764; put all its pictures into one",
    )
    shutil.rmtree(nette / "train" / "tench")
    shutil.rmtree(nette / "val" / "n03888257")
    refused("imagenette", nette, "val lacks class n03888257 of the 10 of imagenette; put its")


@pytest.fixture
def decodings(monkeypatch):
    """As many as pictures are decoded from now on."""
    decode, done = _pictures.decode, []

    def counted(*given):
        done.append(given)
        return decode(*given)

    monkeypatch.setattr(_pictures, "decode", counted)
    return done


def test_a_truncated_picture_is_named_and_no_other_is_decoded_again(
    tmp_path, nette, decodings, monkeypatch
):
    monkeypatch.setattr(_decoded, "PART", 1)
    path = nette / "val" / "n03888257" / "n03888257_0.JPEG"
    path.write_bytes(path.read_bytes()[:-150])
    refused("imagenette", tmp_path, f"{path} is not an image that can be read; mend or remove it")
    parts = nette / "imagenette-128px-test.images.parts"
    assert names(nette) == [parts.name, "imagenette-128px-train.images", "train", "val"]
    path.write_bytes(SHADES[9])
    damaged = parts / names(parts)[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    decodings.clear()
    require_right(datasets.load("imagenette", root=tmp_path), imagenette.CLASSES)
    assert len(decodings) == 2 and not parts.exists()


def test_a_part_that_vanishes_while_room_is_counted_is_none(tmp_path):
    parts = tmp_path / "parts"
    assert _decoded._size(parts) == 0
    parts.mkdir()
    (parts / "there").write_bytes(bytes(7))
    (parts / "gone").symlink_to(tmp_path / "nowhere")  # as one is that was listed just before
    assert _decoded._size(parts) == 7


def test_what_passes_is_not_blamed_on_a_picture(tmp_path, nette, monkeypatch):
    def fail(error):
        def read(*_, **__):
            raise error

        monkeypatch.setattr(_tree.reading, "whole", read)

    fail(OSError(errno.ESTALE, "Stale file handle"))
    says = "cannot read .*.JPEG: Stale file handle; mend that and run the same command again"
    refused("imagenette", tmp_path, says)
    fail(MemoryError())
    with pytest.raises(MemoryError):
        datasets.load("imagenette", root=tmp_path)
    assert names(nette) == [*HALVES]


PASSING = [OSError(errno.EIO, "Input/output error"), OSError(errno.EMFILE, "Too many open files")]
AGAIN = "; mend that and run the same command again"


def fails_from_now_on(monkeypatch, place, error):
    """What `place` is called for fails, as where a disk is away for a moment."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(place, fail)


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_what_passes_is_not_blamed_on_an_archive_or_on_what_is_beside_pictures(
    tmp_path, monkeypatch, error
):
    says = f": {error.strerror}{AGAIN}"
    path = zipped(tmp_path / "mine.zip", tiny())
    with monkeypatch.context() as patch:
        fails_from_now_on(patch, "zipfile.ZipFile", error)
        refused("tiny_imagenet", path, f"cannot read {path}{says}")
    with monkeypatch.context() as patch:
        fails_from_now_on(patch, "distill.datasets._tree.Zip.read", error)
        refused("tiny_imagenet", path, f"cannot read {path}/wnids.txt{says}")
    write(tmp_path, tree(imagenette.CLASSES, counts=(1,), halves=("train",)) | flat(range(10)))
    kit(tmp_path / _wordnet.KIT, range(10), [*imagenette.CLASSES])
    with monkeypatch.context() as patch:
        fails_from_now_on(patch, "scipy.io.loadmat", error)
        refused("imagenette", tmp_path, f"cannot read {tmp_path / _wordnet.KIT}/data{says}")
    with monkeypatch.context() as patch:
        fails_from_now_on(patch, "os.scandir", error)
        refused("imagenette", tmp_path, f"cannot read {tmp_path}/val{says}")
    path = tarred(tmp_path / "imagenette2-160.tgz", under("imagenette2-160", {"a": b"a"}))
    monkeypatch.setitem(imagenette.ARCHIVES, path.stem, md5(path.read_bytes()).hexdigest())
    with monkeypatch.context() as patch:
        fails_from_now_on(patch, "hashlib.file_digest", error)
        refused("imagenette", path, f"cannot read {path}{says}")
    with monkeypatch.context() as patch:
        fails_from_now_on(patch, "gzip.open", error)
        refused("imagenette", path, f"cannot read {path}{says}")


def test_a_class_of_one_picture_is_a_class_and_one_of_none_is_refused(tmp_path, nette):
    path = nette / "train" / "n03888257" / "n03888257_0.JPEG"
    path.unlink()
    data = datasets.load("imagenette", root=tmp_path)
    assert data.train.labels.bincount().tolist() == [2] * 9 + [1]
    (path.parent / "n03888257_1.JPEG").unlink()
    refused("imagenette", tmp_path, f"class folder {path.parent} holds no images; add some or")


def test_pictures_of_all_kinds_come_out_right(tmp_path):
    """Grey, with alpha, of a palette, CMYK, 16 bits, turned by EXIF, not square: of a colour."""
    rgb = Image.new("RGB", (20, 12), (200, 100, 50))
    grey = Image.new("L", (12, 20), 120)
    turned = Image.new("RGB", (20, 40), (255, 0, 0))
    turned.paste((0, 0, 255), (0, 0, 20, 20))  # its upper half is blue
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    deep = np.zeros((40, 20), dtype=np.uint16)
    deep[:20] = 65535
    ramp = Image.fromarray(deep)
    contents = {
        "0-rgb.png": packed(rgb, "PNG"),
        "1-cmyk.jpg": packed(rgb.convert("CMYK"), quality=95),
        "2-cmyk.tiff": packed(rgb.convert("CMYK"), "TIFF"),
        "3-palette.gif": packed(rgb.convert("P", palette=Image.Palette.ADAPTIVE), "GIF"),
        "4-ycbcr.jpg": packed(rgb, subsampling=0, quality=95),
        "5-alpha.png": packed(rgb.convert("RGBA"), "PNG"),
        "6-grey.jpg": packed(grey, quality=95),
        "7-grey-alpha.png": packed(grey.convert("LA"), "PNG"),
        "8-turned.jpg": packed(turned, exif=exif, quality=95),
        "9-turned-16-bit.png": packed(ramp, "PNG", exif=exif),
    }
    write(tmp_path, {f"{half}/a/{n}": c for half in ("train", "test") for n, c in contents.items()})
    images = datasets.load("folder", root=tmp_path, size=8).train.images.float()
    for image in images[:6]:
        assert (image - torch.tensor([200.0, 100, 50]).view(3, 1, 1)).abs().max() < 6
    assert (images[6:8] - 120).abs().max() < 2
    upper, lower = images[8, :, :3].mean((1, 2)), images[8, :, 5:].mean((1, 2))
    assert upper[0] > 240 and upper[2] < 15 and lower[0] < 15 and lower[2] > 240
    assert images[9, :, :3].max() == 0 and images[9, :, 5:].min() == 255


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pictures_whose_values_have_no_known_range_are_refused_by_name(tmp_path, mode):
    picture = Image.new("L", (8, 8)).convert(mode)
    write(tmp_path, tree("ab") | {"val/b/0.tiff": packed(picture, "TIFF")})
    refused("folder", tmp_path, "val/b/0.tiff is not an image that can be read", size=8)


NAMES = {
    "../escaped.png": "a name that leads out of it",
    "/tmp/escaped.png": "a name that leads out of it",
    "train/../../escaped.png": "a name that leads out of it",
    "train/../x.png": "a name that leads out of it",
    "train\\..\\x.png": "a name that leads out of it",
    "train/two\nlines/x.png": "a name that is no text",
    "train/\x1b[31m/x.png": "a name that is no text",
    b"train/\xff/x.png".decode("cp437"): "a name that is no text",
    "train/a/0.png": "it holds train/a/0.png twice",
    "train/a/./0.png": "it holds train/a/0.png twice",
    "train/a": "it holds train/a twice",
    "train/a/" + "a/" * 14 + "x.png": "a name that is too long or too deep",
    "train/a/" + "a" * 993: "a name that is too long or too deep",
    "train/a/0.png/x.png": "train/a/0.png is both a file and a folder",
}


@pytest.mark.parametrize(("name", "says"), NAMES.items(), ids=map(repr, NAMES))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_in_a_zip_that_lead_elsewhere_or_are_there_twice_are_refused(tmp_path, name, says):
    own = tmp_path / "in" / "here"
    own.mkdir(parents=True)
    path = zipped(own / "x.zip", {"train/a/0.png": SHADES[0], "test/a/0.png": SHADES[0]})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name, SHADES[0])
    refused("folder", path, f"{path} is no zip of pictures that can be read: .*{says}", size=8)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "in", own, path]


def with_entry(path, *, kind=0o100644, flag=0, method=zipfile.ZIP_DEFLATED, content=SHADES[0]):
    zipped(path, under("top", tree("ab", name="{half}/{c}/{n}.png")))
    with zipfile.ZipFile(path, "a") as file:
        info = zipfile.ZipInfo("top/train/a/x.png")
        info.external_attr = kind << 16
        file.writestr(info, content, method)
    if flag:
        content = bytearray(path.read_bytes())
        content[content.rindex(b"PK\1\2") + 8] |= flag
        path.write_bytes(content)
    return path


def test_links_and_what_is_packed_otherwise_in_a_zip_is_refused(tmp_path):
    def says(what, **given):
        path = with_entry(tmp_path / "x.zip", **given)
        refused("folder", path, f"x.zip is no zip .*: top/train/a/x.png is {what}; give", size=8)

    says("a link or a device", kind=0o120777, content=b"/etc/passwd")
    says("a link or a device", kind=0o020666)
    says("encrypted", flag=1)
    says("packed otherwise than by deflate", method=zipfile.ZIP_LZMA)
    (tmp_path / "x.zip").write_bytes(b"PK\3\4")
    refused("folder", tmp_path / "x.zip", "is no zip of pictures that can be read", size=8)
    refused("imagenette", tmp_path / "x.zip", "is no zip of pictures that can be read")


def test_a_picture_in_a_zip_that_is_damaged_or_unpacks_beyond_measure_is_named(tmp_path):
    path = with_entry(tmp_path / "x.zip", content=b"\0" * 2**27)
    assert path.stat().st_size < 2**20
    lies = bytearray(path.read_bytes())
    for mark, place in ((b"PK\1\2", 24), (b"PK\3\4", 22)):  # says that it holds 99 bytes
        at = lies.rindex(mark) + place
        lies[at : at + 4] = (99).to_bytes(4, "little")
    path.write_bytes(lies)
    named = "x.zip/top/train/a/x.png is not an image that can be read; mend or remove it"
    refused("folder", path, named, size=8)
    own = with_entry(tmp_path / "x.zip", content=np.random.bytes(2000))
    content = bytearray(own.read_bytes())
    content[content.rindex(b"PK\3\4") + 200] ^= 1
    own.write_bytes(content)
    refused("folder", own, named, size=8)


def test_a_file_beyond_measure_in_a_zip_is_not_read(tmp_path, monkeypatch):
    path = with_entry(tmp_path / "x.zip", content=b"\0" * 1000)
    monkeypatch.setattr(_tree, "MOST", 999)
    with pytest.raises(ValueError, match="it holds more than 999 bytes"):
        _tree.Zip(path).read("train/a/x.png")


OTHERS = {
    "__MACOSX/train/a/._0.png": b"a Mac's",
    "train/a/.DS_Store": b"a Mac's",
    "train/a/Thumbs.db": b"of Windows",
    "train/b/Desktop.ini": b"of Windows",
    "train/__MACOSX/a/._0.png": b"a Mac's",
    "train/.DS_Store": b"a Mac's",
}
CASES = {
    "what systems put beside files": (tree("ab") | OTHERS, 4, None),
    "one image of a class": (tree("ab", counts=(1, 1)), 2, None),
    "names that differ in case": (tree(["Cat", "cat"]), 4, None),
    "the same in another case in test": (
        tree(["Cat", "b"], halves=("train",), counts=(1,))
        | tree(["cat", "b"], halves=("test",), counts=(1,)),
        0,
        "train and .*test differ in class 'Cat'; give both the same class folders",
    ),
    "a class in train alone": (
        tree("ab") | {"train/c/0.png": SHADES[0]},
        0,
        "differ in class 'c'; give both the same class folders",
    ),
    "a picture where classes are": (tree("ab") | {"train/loose.png": SHADES[0]}, 4, None),
    "a folder among pictures": (
        tree("ab") | {"train/a/more/0.png": SHADES[0]},
        0,
        "train/a/more is no picture but a folder",
    ),
    "grey among colour": (
        tree("ab") | {"train/b/grey.png": packed(Image.new("L", (9, 7), 10), "PNG")},
        5,
        None,
    ),
    "half a picture": (
        tree("ab") | {"train/b/half.jpg": SHADES[1][: len(SHADES[1]) // 2]},
        0,
        "train/b/half.jpg is not an image that can be read; mend or remove it",
    ),
    "two folders around it": (under("one/two", tree("ab")), 0, "no folder|cannot read folder"),
    "an empty class": (
        {"train/a/.keep": b"", "val/a/.keep": b""},
        0,
        "class folder .*a holds no images|holds no folder train",
    ),
}


@pytest.mark.parametrize("packing", ["folder", "zip"])
@pytest.mark.parametrize(("contents", "count", "says"), CASES.values(), ids=CASES)
def test_odd_trees_come_out_right_or_are_explained(tmp_path, contents, count, says, packing):
    pack = {"folder": write, "zip": lambda path, own: zipped(path.with_suffix(".zip"), own)}
    root = pack[packing](tmp_path / "x", contents)
    if says is not None:
        refused("folder", root, says, size=8)
        return
    data = datasets.load("folder", root=root, size=8)
    assert len(data.train) == count and len(data.train.classes) == 2


def test_a_zip_that_is_no_tree_is_explained(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a/0.png": SHADES[0], "b/0.png": SHADES[0]})
    refused("folder", path, f"{path} holds no folder train; --data-root takes a zip with", size=8)
    path = zipped(tmp_path / "x.zip", {"train/0.png": SHADES[0]})
    refused("folder", path, "x.zip/train has no class folders; put the pictures into", size=8)
    path = zipped(tmp_path / "x.zip", {"train/a/b/0.png": b"", "test/a/0.png": SHADES[0]})
    refused("folder", path, "x.zip/train/a/b is no picture but a folder", size=8)
    path = zipped(tmp_path / "x.zip", {"train/a/": b"", "test/a/0.png": SHADES[0]})
    refused("folder", path, "class folder .*x.zip/train/a holds no images", size=8)


HOSTILE = {
    "a name that leads out": ("../escaped", tarfile.REGTYPE, "a name that leads out of it"),
    "another root": ("/tmp/hostile-tree", tarfile.REGTYPE, "a name that leads out of it"),
    "a link": ("top/link", tarfile.SYMTYPE, "top/link is a link or a device"),
    "a hard link": ("top/link", tarfile.LNKTYPE, "top/link is a link or a device"),
    "a pipe": ("top/pipe", tarfile.FIFOTYPE, "top/pipe is a link or a device"),
    "a file twice": ("top/./a", tarfile.REGTYPE, "it holds top/a twice"),
}


@pytest.mark.parametrize(("name", "kind", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_tree_is_never_unpacked_outside_its_folder(tmp_path, name, kind, says):
    path, own = tmp_path / "x.tgz", tmp_path / "in" / "here"
    own.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as file:
        for member in (tarfile.TarInfo("top/a"), tarfile.TarInfo(name)):
            member.type = kind if member.name == name else tarfile.REGTYPE
            member.linkname = "/tmp" if member.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            file.addfile(member, io.BytesIO())
    before = {*tmp_path.rglob("*")}
    with pytest.raises(ValueError, match=says):
        _archive.unpack_tree(path, own)
    assert {*tmp_path.rglob("*")} - before <= {own / "top", own / "top" / "a"}


def test_a_tree_that_unpacks_beyond_measure_is_refused(tmp_path):
    path = tarred(tmp_path / "x.tgz", {"top/a": b"\0" * 2**25, "top/._a": b"hidden"})
    with pytest.raises(ValueError, match="than it can"):
        _archive.unpack_tree(path, tmp_path / "small", most=2**20)
    _archive.unpack_tree(path, tmp_path / "large", most=2**26)
    assert names(tmp_path / "large" / "top") == ["a"]


# ------------------------------------------------------------------ decoded once


def no_decoding(*_):
    raise AssertionError("decoded again")


def test_pictures_are_decoded_once_and_again_where_they_have_changed(tmp_path, nette, monkeypatch):
    data = datasets.load("imagenette", root=tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(_pictures, "decode", no_decoding)
        again = datasets.load("imagenette", root=tmp_path)
    assert again.digest() == data.digest()
    path = nette / "train" / "n01440764" / "n01440764_0.JPEG"
    path.write_bytes(SHADES[20])
    os.utime(path, ns=(0, 10**9))  # whatever the clock
    changed = datasets.load("imagenette", root=tmp_path)
    assert changed.train.digests()["0"] != data.train.digests()["0"]
    assert changed.train.digests()["1"] == data.train.digests()["1"]
    (path.parent / "x.JPEG").write_bytes(SHADES[20])
    assert len(datasets.load("imagenette", root=tmp_path).train) == 21
    assert names(nette) == [*(f"imagenette-128px-{h}.images" for h in ("test", "train")), *HALVES]


def test_a_zip_is_known_by_its_content(tmp_path, monkeypatch):
    path, contents = tmp_path / "mine.zip", tree(imagenette.CLASSES)
    first = datasets.load("imagenette", root=zipped(path, contents)).digest()
    assert names(tmp_path)[-1] == path.name and len(names(tmp_path)) == 3
    os.utime(path, ns=(0, 0))
    with monkeypatch.context() as patched:
        patched.setattr(_pictures, "decode", no_decoding)
        assert datasets.load("imagenette", root=path).digest() == first
    zipped(path, contents | {"train/n01440764/n01440764_0.JPEG": SHADES[20]})
    assert datasets.load("imagenette", root=path).digest() != first


def test_a_damaged_file_of_images_is_made_again(tmp_path, nette):
    data = datasets.load("imagenette", root=tmp_path)
    path = nette / "imagenette-128px-train.images"
    for damage in (lambda c: c[:-40], lambda c: b"", lambda c: c[:-10] + bytes(10)):
        path.write_bytes(damage(path.read_bytes()))
        assert datasets.load("imagenette", root=tmp_path).digest() == data.digest()


def test_where_images_cannot_be_kept_it_says_so_and_what_to_do(tmp_path, nette, monkeypatch):
    def fail(*_):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(files, "_temporary", fail)
        refused("imagenette", tmp_path, f"kept beside the pictures, in {nette}, which cannot be")
    with monkeypatch.context() as patched:
        usage = shutil.disk_usage(tmp_path)._replace(free=10**5)
        patched.setattr(shutil, "disk_usage", lambda _: usage)
        refused("imagenette", tmp_path, r"the decoded images \(983 kB .* only 100 kB are free")
    assert names(nette) == [*HALVES]
    own = tmp_path / "own"
    own.mkdir()
    for half in HALVES:
        (own / half).symlink_to(nette / half)
    require_right(datasets.load("imagenette", root=own), imagenette.CLASSES)
    assert names(nette) == [*HALVES] and len(names(own)) == 4


def slowly(root, log, gate):
    """Load in a process of its own: tell of every picture, and wait for the gate at the third."""
    decode, told = _pictures.decode, itertools.count(1)

    def tell(*given):
        with open(log, "a") as file:
            file.write("x")
        while next(told) >= 3 and not gate.exists():
            time.sleep(0.01)
        return decode(*given)

    _pictures.decode = tell
    datasets.load("imagenette", root=root)


@pytest.fixture
def started_load(tmp_path, nette):
    """start(): a process that loads, held up in the middle; how many pictures were decoded."""
    log, gate, started = tmp_path / "log", tmp_path / "gate", []

    def start():
        given = (tmp_path, log, gate)
        started.append(get_context("fork").Process(target=slowly, args=given))
        started[-1].start()
        assert eventually(lambda: log.exists() and len(log.read_text()) >= 3)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.join()


def test_what_a_killed_run_had_decoded_is_not_decoded_again_and_nothing_is_left(
    tmp_path, nette, started_load, decodings, monkeypatch
):
    monkeypatch.setattr(_decoded, "PART", 1)
    process = started_load()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    parts = nette / "imagenette-128px-train.images.parts"
    assert len([name for name in names(parts) if not name.startswith(".")]) == 1
    require_right(datasets.load("imagenette", root=tmp_path), imagenette.CLASSES)
    assert len(decodings) == 28
    assert names(nette) == [*(f"imagenette-128px-{h}.images" for h in ("test", "train")), *HALVES]


def test_processes_that_want_the_same_images_at_once_decode_them_once(
    tmp_path, nette, started_load
):
    processes = [started_load(), started_load(), started_load()]
    time.sleep(0.3)
    (tmp_path / "gate").touch()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len((tmp_path / "log").read_text()) == 30
    require_right(datasets.load("imagenette", root=tmp_path), imagenette.CLASSES)


def test_one_class_is_in_memory_at_a_time(tmp_path, nette, monkeypatch):
    decoded, alive, most = _decoded._images, weakref.WeakSet(), []

    def watched(*given):
        most.append(len(alive))
        images = decoded(*given)
        alive.add(images)
        return images

    monkeypatch.setattr(_decoded, "_images", watched)
    datasets.load("imagenette", root=tmp_path)
    assert len(most) == 20 and max(most) <= 1


def test_every_large_dataset_travels_to_a_set(tmp_path, nette, capsys):
    out = tmp_path / "set.safetensors"
    given = ["--method", "random", "--dataset", "imagenette", "--data-root", str(tmp_path)]
    distill_command.main([*given, "--out", str(out), "--export", str(tmp_path / "pictures")])
    assert "10 images" in capsys.readouterr().out
    assert "English springer" in names(tmp_path / "pictures")


# ------------------------------------------------------------------ a user's own


def test_a_folder_and_its_zip_are_the_same_images(tmp_path):
    root = write_tree(tmp_path / "pets")
    read = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.png")}
    more = {"train/README": b"x", "train/.hidden/x": b"x", "__MACOSX/train/cat/._0.png": b"x"}
    of_folder = datasets.load("folder", root=root, size=8)
    for contents in (read | more, under("pets", read), {"pets/": b"", **under("pets", read)}):
        path = zipped(tmp_path / "pets.zip", contents)
        of_zip = datasets.load("folder", root=path, size=8)
        assert of_zip.digest() == of_folder.digest()
        assert of_zip.train.name == "folder-pets" and of_zip.train.classes == ("cat", "dog")
    assert names(tmp_path) == ["pets", "pets.zip"] and names(root) == ["test", "train"]


def test_a_large_folder_is_mapped_and_a_small_one_is_not(tmp_path, monkeypatch):
    root = write_tree(tmp_path / "pets")
    small = datasets.load("folder", root=root, size=8)
    assert small.digest() == "7c16270e46a6"
    monkeypatch.setattr(folder, "LARGE", 12 * 3 * 64)
    assert not isinstance(datasets.load("folder", root=root, size=8).train, MappedImages)
    assert names(root) == ["test", "train"]
    monkeypatch.setattr(folder, "LARGE", 12 * 3 * 64 - 1)
    large = datasets.load("folder", root=root, size=8)
    for one, other in zip(small, large, strict=True):
        assert isinstance(other, MappedImages) and other.digests() == one.digests()
        assert torch.equal(other.images, one.images) and torch.equal(other.labels, one.labels)
    assert names(root)[:2] == [f"folder-pets-8px-{half}.images" for half in ("test", "train")]
