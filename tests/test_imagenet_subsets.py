"""Imagenette, Imagewoof and ImageSquawk: their official layouts and archives."""

import shutil
from hashlib import md5

import pytest
import torchvision
from trees import (
    OFFICIAL,
    SHADES,
    SUBSETS,
    names,
    refused,
    require_right,
    tarred,
    tree,
    under,
    write,
    zipped,
)

from distill import datasets
from distill.datasets import (
    _archive,
    imagenette,
)
from distill.runtime.mistake import Mistake


@pytest.fixture
def offline(monkeypatch):
    def fetch(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(_archive, "fetch", fetch)


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
