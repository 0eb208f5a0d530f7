"""EuroSAT, and trees of class folders in the place of official files."""

import shutil
import zipfile
from pathlib import Path

import pytest
from official import IDX, loaded, unreachable, written
from PIL import Image

from distill import datasets
from distill.datasets import _tree, eurosat
from distill.runtime.mistake import Mistake

from conftest import write_tree


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    unreachable(monkeypatch)


def test_the_split_of_eurosat_is_drawn_once_for_all(tmp_path, monkeypatch):
    """By class, from a fixed seed, and the same from the archive and from its folder."""
    written("eurosat", tmp_path, monkeypatch)
    data = loaded("eurosat", tmp_path)
    assert data.train.labels.bincount().tolist() == [4] * 10
    assert data.test.labels.bincount().tolist() == [1] * 10
    shade = [[round(g / 40) for g in half.images[:, 1, 0, 0].tolist()] for half in data]
    drawn = shade[1]
    assert len(set(drawn)) > 2, "another picture of every class"
    for label in range(10):
        assert sorted([*shade[0][4 * label : 4 * label + 4], drawn[label]]) == [0, 1, 2, 3, 4]
    path = tmp_path / "eurosat" / "EuroSAT.zip"
    zipfile.ZipFile(path).extractall(tmp_path / "eurosat")
    path.unlink()
    assert loaded("eurosat", tmp_path).digest() == data.digest()
    (tmp_path / "eurosat" / "2750" / "River" / "River_3.jpg").unlink()
    with pytest.raises(Mistake, match="2750/River holds 4 pictures, not 5: delete the folder"):
        loaded("eurosat", tmp_path)


def test_the_split_of_a_whole_class_of_eurosat_stays_as_it_is(tmp_path):
    (tmp_path / "Pasture").mkdir()
    for number in range(1, 2001):
        (tmp_path / "Pasture" / f"Pasture_{number}.jpg").touch()
    train, test = eurosat._split(_tree.Folder(tmp_path), eurosat.ABOUT, 5)
    assert len(train) == 1600 and len(test) == 400
    numbers = [file.name.removeprefix("Pasture/Pasture_") for file in test[::100]]
    assert numbers == ["10.jpg", "1486.jpg", "1900.jpg", "513.jpg"]


def test_a_damaged_picture_in_eurosat_is_named(tmp_path, monkeypatch):
    written("eurosat", tmp_path, monkeypatch)
    path = tmp_path / "eurosat" / "EuroSAT.zip"
    zipfile.ZipFile(path).extractall(tmp_path)
    (tmp_path / "2750" / "River" / "River_3.jpg").write_bytes(b"no picture")
    with pytest.raises(Mistake, match="2750/River/River_3.jpg is not an image that can be read"):
        loaded("eurosat", tmp_path)


def test_a_tree_of_eurosat_that_is_split_already(tmp_path):
    write_tree(tmp_path / "eurosat", list(eurosat.COUNTS), count=2, size=70)
    data = loaded("eurosat", tmp_path)
    assert data.train.shape == (3, 64, 64) and len(data.train) == len(data.test) == 20
    (tmp_path / "eurosat" / "test").rename(tmp_path / "eurosat" / "val")
    assert loaded("eurosat", tmp_path).digest() == data.digest()
    (tmp_path / "eurosat" / "val").rename(tmp_path / "eurosat" / "test")
    (tmp_path / "eurosat" / "test" / "River").rename(tmp_path / "eurosat" / "test" / "Stream")
    with pytest.raises(Mistake, match="test lacks the class folder 'River'.*; those of eurosat"):
        loaded("eurosat", tmp_path)


def write_digits(root, size=28, colour=0):
    """A tree of grey pictures in class folders 0 to 9."""
    for half in ("train", "test"):
        for digit in range(10):
            folder = root / half / str(digit)
            folder.mkdir(parents=True)
            picture = Image.new("L", (size, size), 20 * digit)
            picture.save(folder / "1.png")
            Image.new("RGB", (size, size), (9, 9, 9 + colour)).save(folder / "2.png")


@pytest.mark.parametrize("name", [*IDX, "svhn"])
@pytest.mark.parametrize("form", ["root", "folder", "zip"])
def test_a_tree_of_numbered_folders(name, form, tmp_path):
    write_digits(tmp_path / name)
    if form == "zip":
        shutil.make_archive(str(tmp_path / name), "zip", tmp_path / name)
        shutil.rmtree(tmp_path / name)
    data = loaded(name, tmp_path / name if form == "root" else tmp_path)
    about = datasets.about(name)
    for half in data:
        assert half.shape == about.shape and half.classes == about.classes and half.name == name
        assert half.labels.tolist() == [label for label in range(10) for _ in range(2)]
        assert half.images[6].unique().tolist() == [60] and half.images[7].unique().tolist() == [9]


@pytest.mark.parametrize("name", [*IDX, "svhn"])
def test_numbered_folders_of_another_name_may_be_of_another_dataset(name, tmp_path):
    write_digits(tmp_path / "tree")
    path = shutil.make_archive(str(tmp_path / "tree"), "zip", tmp_path / "tree")
    for root in (tmp_path / "tree", Path(path)):
        with pytest.raises(Mistake, match=f"in {root} may be of any dataset; .* the name {name}"):
            loaded(name, root)
    own = Path(path).rename(tmp_path / f"{name}.zip")
    assert len(loaded(name, own).train) == 20


def test_a_tree_with_other_folders_or_colours_is_refused(tmp_path):
    write_digits(tmp_path / "mnist", colour=1)
    with pytest.raises(Mistake, match="mnist/train/0 holds a picture in colour; mnist is grey"):
        loaded("mnist", tmp_path)
    (tmp_path / "mnist" / "train" / "7").rename(tmp_path / "mnist" / "train" / "seven")
    with pytest.raises(Mistake, match="mnist/train lacks the class folder '7'"):
        loaded("mnist", tmp_path)


def test_a_tree_of_another_dataset_is_passed_over(tmp_path, monkeypatch):
    write_tree(tmp_path)
    written("mnist", tmp_path, monkeypatch)
    assert loaded("mnist", tmp_path).train.shape == (1, 28, 28)
