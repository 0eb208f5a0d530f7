"""Large datasets are decoded once; what is kept of that is found again by whoever wants it."""

import itertools
import os
import shutil
import signal
import time
import weakref
from multiprocessing import get_context

import pytest
import torch
from trees import HALVES, SHADES, names, refused, require_right, tree, under, zipped

from distill import __main__ as distill_command
from distill import datasets
from distill.datasets import (
    _decoded,
    _pictures,
    folder,
    imagenette,
)
from distill.mapped import MappedImages
from distill.runtime import files

from conftest import eventually, write_tree


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
