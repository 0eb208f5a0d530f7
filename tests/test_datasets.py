"""What every file in distill/datasets must keep, and how each finds its images."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from distill import datasets
from distill.augment import OPERATIONS
from distill.datasets import folder
from distill.images import About
from distill.runtime import registry
from distill.runtime.mistake import Mistake
from distill.whitening import whitened

from conftest import write_tree

NAMES = registry.names("distill.datasets")


@pytest.mark.parametrize("name", NAMES)
def test_the_facts_of_a_dataset_are_known_before_any_image_is_loaded(name, monkeypatch):
    module = registry.load("distill.datasets", name)
    monkeypatch.delattr(module, "load")
    facts = module.ABOUT
    assert isinstance(facts, About) and facts.name == name and module.__doc__
    assert isinstance(facts.version, int) and facts.version >= 1
    assert facts.operations and set(facts.operations) <= set(OPERATIONS)
    mean, std = facts.normalisation.mean, facts.normalisation.std
    assert len(mean) == len(std) and all(0 < m < 1 for m in mean) and all(0 < s < 1 for s in std)
    if facts.classes is not None:
        assert len(set(facts.classes)) == len(facts.classes) > 1
    known = datasets.about(name) if facts.shape else datasets.about(name, size=64)
    assert len(known.shape) == 3 and known.shape[0] == len(mean)
    assert known.depth >= 3 and known.identity()["name"] == name


@pytest.mark.parametrize("name", NAMES)
def test_a_size_is_asked_for_where_the_images_have_none_and_nowhere_else(name, tmp_path):
    shape = registry.load("distill.datasets", name).ABOUT.shape
    for ask in (datasets.about, lambda *a, **k: datasets.load(*a, root=tmp_path, **k)):
        if shape:
            says = f"{name} has its own image size, {shape[-1]}; leave --image-size out"
            with pytest.raises(Mistake, match=says):
                ask(name, size=16)
        else:
            with pytest.raises(Mistake, match=f"--dataset {name} need one size; give --image-size"):
                ask(name)
            for size in (7, 0, -3, 1025):
                with pytest.raises(Mistake, match=f"--image-size {size}: give 8 to 1024 pixels"):
                    ask(name, size=size)
    if not shape:
        assert [datasets.about(name, size=n).shape[1:] for n in (8, 1024)] == [(8, 8), (1024, 1024)]


def test_an_unknown_dataset_names_the_nearest():
    for ask in (datasets.load, datasets.about):
        with pytest.raises(Mistake, match="unknown dataset 'cifar11'.*did you mean cifar10"):
            ask("cifar11")


def test_digits_are_the_real_ones_in_a_fixed_stratified_split(digits):
    assert datasets.about("digits").sizes == (1201, 596)
    for half, count in ((digits.train, 1201), (digits.test, 596)):
        assert half.shape == (1, 8, 8) and len(half) == count
        share = half.labels.bincount().float() / count
        assert (share - 0.1).abs().max() < 0.005
    assert digits.train.digest() == "e1b8b1fc22ed"
    whole = torch.cat([half.images for half in digits]).flatten(1)
    from sklearn.datasets import load_digits

    theirs = torch.from_numpy(load_digits().data)
    assert sorted(whole.tolist()) == sorted((theirs * (255 / 16)).round().to(torch.uint8).tolist())


def test_digits_are_standardised_by_the_statistics_they_name(digits):
    about = datasets.about("digits")
    x = about.normalisation(digits.train.images)
    assert abs(x.mean()) < 0.01 and abs(x.std() - 1) < 0.01


def test_a_folder_of_pictures(tmp_path):
    data = datasets.load("folder", root=write_tree(tmp_path / "pets"), size=8)
    assert data.train.classes == ("cat", "dog") and data.train.images.shape == (6, 3, 8, 8)
    assert data.train.of_class(1)[2].unique().tolist() == [42]
    assert data.train.normalisation.source == "fixed" and data.train.name == "folder-pets"


def test_the_shorter_side_is_scaled_and_the_middle_kept(tmp_path):
    root = write_tree(tmp_path, ("cat",), count=1)
    pixels = np.zeros((20, 60, 3), dtype=np.uint8)
    pixels[:, 20:40] = (10, 120, 250)
    Image.fromarray(pixels).save(root / "train" / "cat" / "0.png")
    image = datasets.load("folder", root=root, size=16).train.images[0]
    assert image.shape == (3, 16, 16)
    assert [channel[:, 1:-1].unique().tolist() for channel in image] == [[10], [120], [250]]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_pictures_of_any_mode_become_rgb(tmp_path, mode):
    root = write_tree(tmp_path, ("cat",), count=1)
    picture = Image.new("RGB", (12, 12), (255, 255, 255)).convert(mode)
    picture.save(root / "train" / "cat" / "0.png", "TIFF")
    image = datasets.load("folder", root=root, size=8).train.images[0]
    assert image.shape == (3, 8, 8) and image.min() > 250


def test_val_stands_for_test_as_in_imagenets_subsets(tmp_path):
    (write_tree(tmp_path) / "test").rename(tmp_path / "val")
    assert len(datasets.load("folder", root=tmp_path, size=8).test) == 6


@pytest.mark.parametrize("large", [False, True])
def test_without_test_pictures_one_distils_and_nothing_is_judged(tmp_path, monkeypatch, large):
    root = write_tree(tmp_path / "pets")
    monkeypatch.setattr(folder, "LARGE", 0 if large else 2**28)
    whole = datasets.load("folder", root=root, size=8, judged=False)
    assert len(whole.test) == 6
    shutil.rmtree(root / "test")
    with pytest.raises(Mistake, match="holds train but no folder test; put .*test/<class>/, or"):
        datasets.load("folder", root=root, size=8)
    data = whitened(datasets.load("folder", root=root, size=8, judged=False))
    assert data.train.digest() == whole.train.digest() and data.train.name == "folder-pets"
    assert len(data.test) == 0 and data.test.classes == ("cat", "dog")


def test_hidden_files_and_loose_files_are_passed_over(tmp_path):
    root = write_tree(tmp_path)
    (root / "train" / "README").write_text("no class")
    (root / "train" / ".git").mkdir()
    (root / "train" / "cat" / ".DS_Store").write_bytes(b"no picture")
    data = datasets.load("folder", root=root, size=8)
    assert data.train.classes == ("cat", "dog") and len(data.train) == 6


def test_a_folder_that_cannot_be_used_is_explained(tmp_path):
    def refused(says):
        with pytest.raises(Mistake, match=says):
            datasets.load("folder", root=tmp_path, size=8)

    refused("holds no folder train; --data-root takes")
    (tmp_path / "train").mkdir()
    refused("train has no class folders")
    write_tree(tmp_path / "more")
    shutil.rmtree(tmp_path / "train")
    shutil.move(tmp_path / "more" / "train", tmp_path / "train")
    refused("but no folder test; put pictures")
    shutil.move(tmp_path / "more" / "test", tmp_path / "test")
    (tmp_path / "train" / "dog" / "1.png").write_bytes(b"no picture")
    refused("1.png is not an image that can be read")
    (tmp_path / "train" / "dog" / "1.png").write_bytes(
        (tmp_path / "train" / "dog" / "0.png").read_bytes()[:50]
    )
    refused("1.png is not an image that can be read")
    for path in (tmp_path / "train" / "dog").iterdir():
        path.unlink()
    refused("class folder .*dog holds no images")
    (tmp_path / "train" / "dog").rmdir()
    refused("differ in class 'dog'")


def test_sixteen_bit_pictures_keep_their_greys(tmp_path):
    root = write_tree(tmp_path, ("cat",), count=2, size=8)
    ramp = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(ramp).save(root / "train" / "cat" / "0.png")
    data = datasets.load("folder", root=root, size=8)
    assert torch.equal(data.train.images[0, 0], torch.from_numpy((ramp / 257).round()).byte())


def test_a_picture_whose_values_have_no_range_is_named(tmp_path):
    root = write_tree(tmp_path, ("cat",), count=2, size=8)
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(root / "train" / "cat" / "f.tiff")
    with pytest.raises(Mistake, match="f.tiff is not an image that can be read"):
        datasets.load("folder", root=root, size=8)


def test_pictures_that_are_given_to_a_dataset_that_reads_none_are_not_passed_over(tmp_path):
    with pytest.raises(Mistake, match="holds pictures, and --dataset digits reads none of them"):
        datasets.load("digits", root=write_tree(tmp_path / "pets"))
