"""Trees and archives of pictures that are not what they should be."""

import errno
import io
import shutil
import tarfile
import zipfile
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trees import (
    HALVES,
    SHADES,
    flat,
    kit,
    names,
    packed,
    refused,
    require_right,
    tarred,
    tiny,
    tree,
    under,
    write,
    zipped,
)

from distill import datasets
from distill.datasets import (
    _archive,
    _decoded,
    _tree,
    _wordnet,
    imagenette,
)


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
    refused("folder", tmp_path / "x.zip", "read: it is no zip, or not a whole one; give", size=8)
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
    "two folders around it": (under("one/two", tree("ab")), 0, "but no folder train"),
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
    refused("folder", path, f"{path} holds a, b but no folder train; move them into", size=8)
    path = zipped(tmp_path / "x.zip", {"0.png": SHADES[0]})
    refused("folder", path, f"{path} holds no folder train; --data-root takes a zip with", size=8)
    path = zipped(tmp_path / "x.zip", under("one/two", tree("ab")))
    refused("folder", path, f"{path} holds two but no folder train; make a zip of two", size=8)
    path = zipped(tmp_path / "x.zip", {"train/0.png": SHADES[0]})
    refused("folder", path, "x.zip/train has no class folders; put the pictures into", size=8)
    path = zipped(tmp_path / "x.zip", {"train/a/b/0.png": b"", "test/a/0.png": SHADES[0]})
    refused("folder", path, "x.zip/train/a/b is no picture but a folder", size=8)
    path = zipped(tmp_path / "x.zip", {"train/a/": b"", "test/a/0.png": SHADES[0]})
    refused("folder", path, "class folder .*x.zip/train/a holds no images", size=8)


WRONG = {
    "class folders alone": (
        {f"{c}/0.png": SHADES[0] for c in "dbac"},
        "x holds a, b, c, ... but no folder train; move them into .*/x/train .and into .*/x/test",
    ),
    "another case": (tree("ab", halves=("Train", "Test")), "folder train; rename Train to train"),
    "another name": (tree("ab", halves=("train", "valid")), "folder test; rename valid to test"),
    "no test": (
        tree("ab", counts=(2,), halves=("train",)),
        "holds train but no folder test; put pictures to judge on into .*/x/test/<class>/, or",
    ),
    "a folder around it": (under("pets", tree("ab")), "folder train; give --data-root .*/x/pets$"),
    "nothing but files": ({"0.png": SHADES[0]}, "x holds no folder train; --data-root takes a f"),
    "a name that is no text": ({"two\nlines/0.png": SHADES[0]}, r"holds 'two\\nlines' but no"),
}


@pytest.mark.parametrize(("contents", "says"), WRONG.values(), ids=WRONG)
def test_a_folder_that_is_laid_out_otherwise_is_told_what_to_do(tmp_path, contents, says):
    refused("folder", write(tmp_path / "x", contents), says, size=8)


def test_half_of_a_tree_and_no_tree_at_all_are_told_so(tmp_path, monkeypatch):
    write(tmp_path / "pets", tree("ab"))
    monkeypatch.chdir(tmp_path)
    refused("folder", Path("pets/train"), "folder train; give --data-root pets, the folder", size=8)
    monkeypatch.chdir(tmp_path / "pets" / "train")
    refused("folder", Path(), f"folder train; give --data-root {tmp_path}/pets, the folder", size=8)
    refused("folder", Path("nowhere"), "there is no nowhere; --data-root takes a folder", size=8)


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
