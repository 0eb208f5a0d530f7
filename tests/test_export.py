"""Pictures of a set: where they go, whatever classes are called and whatever lies there already."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from distill import __main__ as command
from distill import datasets
from distill.runtime.mistake import Mistake
from distill.sets.export import folder_names, require_room

from conftest import write_tree

HOSTILE = [
    "..",
    "a/../..",
    "/etc",
    "",
    ".",
    "...",
    ".hidden",
    "nul\0byte",
    "line\nbreak",
    "\x1b[31mred",
    "back\\slash",
    "C:",
    "CON",
    "con.txt",
    "x" * 5000,
    "é" * 5000,
    "trailing. ",
    " ",
    "\ud800",
]


@pytest.fixture
def small(digits, make):
    return make("random", digits.train, 1)


def named(small, *classes):
    """The set, with other names for its first classes."""
    others = (*classes, *small.classes[len(classes) :])
    return dataclasses.replace(small, classes=others).only(list(range(len(classes))))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_no_name_of_a_class_leads_out_of_the_folder(name, small, tmp_path):
    folder = tmp_path / "one" / "two" / "pictures"
    named(small, name).export(folder)
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert path.parent.parent == folder and path.name == "0000.png"
    assert path.parent.name.isprintable() and path.parent.name[0] != "."
    assert "/" not in folder_names([name])[0] and len(folder_names([name])[0].encode()) <= 200


@pytest.mark.parametrize(
    "names",
    [
        ("a/b", "a_b", "a\\b", "a:b"),
        ("cat", "Cat", "CAT"),
        ("x" * 200, "x" * 300),
        ("", ".", "..", "_"),
        ("b_", "b/", "b_-1", "b?"),
        ("e\u0301", "\u00e9"),
    ],
    ids=ascii,
)
def test_no_two_classes_share_a_folder(names, small, tmp_path):
    folders = folder_names(names)
    assert len({name.casefold() for name in folders}) == len(names)
    named(small, *names).export(tmp_path)
    assert len(files(tmp_path)) == len(names)


def test_a_name_that_is_one_stays_whatever_others_are_called():
    assert folder_names(["a/b", "a_b", "stock-exchange", "naïve (1)"]) == [
        "a_b-0",
        "a_b",
        "stock-exchange",
        "naïve (1)",
    ]


def test_a_new_export_takes_the_place_of_an_earlier_one(digits, make, tmp_path):
    make("random", digits.train, 5).export(tmp_path)
    assert len(files(tmp_path)) == 50
    few = make("random", digits.train, 1, seed=1).only([3, 4])
    few.export(tmp_path)
    assert files(tmp_path) == ["3/0000.png", "4/0000.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]
    few.export(tmp_path)
    assert files(tmp_path) == ["3/0000.png", "4/0000.png"]


def test_an_export_that_was_broken_off_is_completed(small, tmp_path):
    small.export(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    for path in list(before)[::2]:
        path.unlink()
    small.export(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before


@pytest.mark.parametrize("name", ["notes.txt", "0/0000.png", "0/deep/er/cat.jpg", "9/0001.png"])
def test_a_file_of_a_user_s_own_is_refused_and_left_alone(name, small, tmp_path):
    small.export(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8)).save(path, "PNG")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(Mistake, match=f"holds {name}, which is of no earlier export; name a"):
        small.export(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_link_is_refused_and_not_followed(small, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "pictures").mkdir()
    elsewhere.mkdir()
    (tmp_path / "pictures" / "0").symlink_to(elsewhere)
    with pytest.raises(Mistake, match="holds 0, which"):
        small.export(tmp_path / "pictures")
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_cannot_take_an_export_is_refused_before_the_work(
    fails, tmp_path, monkeypatch
):
    def load(*given, **also):
        raise AssertionError("it began")

    monkeypatch.setattr(datasets, "load", load)
    write_tree(tmp_path / "mine")
    args = ["--export", str(tmp_path / "mine"), "--out", str(tmp_path / "set.safetensors")]
    assert "name a folder that is empty or not there yet" in fails(command.main, args)


@pytest.mark.parametrize(("to", "holds"), [("", "test"), ("train", "cat"), ("train/cat", "0.png")])
def test_export_writes_nothing_into_a_folder_of_photos(to, holds, digits, make, fails, tmp_path):
    make("random", digits.train, 1).save(tmp_path / "set.safetensors")
    pets = write_tree(tmp_path / "pets")
    before = sorted(pets.rglob("*"))
    for kind in ([], ["--kind", "pictures"]):
        args = ["export", str(tmp_path / "set.safetensors"), "--to", str(pets / to), *kind]
        says = f"{pets / to} holds {holds}, which is of no earlier export; name a folder that is"
        assert says in fails(command.main, args)
    assert sorted(pets.rglob("*")) == before


def test_what_is_hidden_does_not_matter(small, tmp_path):
    (tmp_path / ".DS_Store").write_text("")
    small.export(tmp_path)
    assert len(require_room(tmp_path)) == 10
    assert (tmp_path / ".DS_Store").exists()


def test_the_mark_changes_no_pixel(small, tmp_path):
    small.export(tmp_path)
    picture = torch.tensor(
        np.asarray(Image.open(tmp_path / "0" / "0000.png")).astype(int).flatten()
    )
    assert torch.equal(picture, small.images[0].mul(255).round().long().flatten())
