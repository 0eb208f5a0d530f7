"""A file that holds a finished set, when a command that writes there is typed (again)."""

import dataclasses
import re

import pytest
import safetensors.torch
import torch

from distill import datasets, plan
from distill.__main__ import main
from distill.plan import Plan
from distill.runtime import compute, registry, store
from distill.runtime.compute import CPU
from distill.sets import finished
from distill.sets.finished import Asked
from distill.synthetic import SyntheticSet

from conftest import write_tree

SETTINGS = {"network": "convnet-d2-w8", "networks": 2, "real_batch": 10, "iterations": 4}
LINE = "--method dm --dataset digits --method.network convnet-d2-w8 --method.networks 2"
LINE = f"{LINE} --method.real-batch 10 --method.iterations 4 --workers 1".split()


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """Of the file that the command writes."""
    out = tmp_path_factory.mktemp("whole") / "set.safetensors"
    main([*LINE, "--out", str(out)])
    return out.read_bytes()


@pytest.fixture
def out(content, tmp_path):
    path = tmp_path / "set.safetensors"
    path.write_bytes(content)
    return path


def no_work(monkeypatch):
    def begin(*given, **also):
        raise AssertionError("it began to distill")

    monkeypatch.setattr(plan, "_made", begin)


@pytest.fixture
def idle(monkeypatch):
    no_work(monkeypatch)


def test_the_same_command_again_makes_nothing_and_says_and_exports_all(out, idle, tmp_path, capsys):
    before = out.read_bytes(), out.stat().st_mtime_ns
    left = tmp_path / "set.safetensors.parts" / "digits-dm-ipc1-class3-0123456789.safetensors.lock"
    left.parent.mkdir()
    left.touch()  # by a run that was killed at its very end
    main([*LINE, "--out", str(out), "--export", str(tmp_path / "pictures")])
    printed = capsys.readouterr()
    assert printed.err == f"{out} is there and whole; it is not made again\n"
    assert printed.out.startswith(f"10 images: {out}; to look at: {out}.png\nas pictures: ")
    assert (out.read_bytes(), out.stat().st_mtime_ns) == before
    assert (tmp_path / "set.safetensors.png").exists() and not left.parent.exists()
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 10


OTHERS = {
    "--method herding": "dm of digits, ipc 1, seed 0 (method: dm, not herding)",
    "--ipc 2": "(ipc: 1, not 2)",
    "--seed 7": "(seed: 0, not 7)",
    "--method.iterations 5": "(settings.iterations: 4, not 5)",
    "--zca": "(normalisation",
    "--precision bfloat16": "(precision: float32, not bfloat16)",
    "--compile never": "(compile: the default, not never)",
    "--method.start herding": "(settings.start: real, not herding)",
}


def but(more):
    """The command with other values: a flag is not given twice."""
    given = dict(zip(LINE[::2], LINE[1::2], strict=True))
    if more == "--method herding":
        given = {name: value for name, value in given.items() if "real" not in name}
        del given["--method.iterations"]
    flag, _, value = more.partition(" ")
    given |= {flag: value}
    return [word for pair in given.items() for word in pair if word]


@pytest.mark.parametrize("more", OTHERS)
def test_another_set_is_refused_before_the_work_and_stays(more, out, idle, fails, monkeypatch):
    # On a processor that only emulates bfloat16 a note would stand before the line.
    monkeypatch.setattr(compute, "multiplies_bfloat16", lambda device: True)
    before = out.read_bytes()
    error = fails(main, [*but(more), "--out", str(out)])
    assert error.startswith(f"error: --out {out} holds another set, dm of digits, ipc 1, seed 0 (")
    assert OTHERS[more] in error and error.endswith("; choose another --out, or delete it\n")
    assert out.read_bytes() == before and not out.with_name("set.safetensors.parts").exists()


def test_other_images_of_the_same_names_are_another_set(fails, tmp_path, monkeypatch):
    root, out = write_tree(tmp_path / "pets"), tmp_path / "set.safetensors"
    line = ["--method", "random", "--dataset", "folder", "--image-size", "8"]
    line += ["--data-root", str(root), "--out", str(out)]
    main(line)
    no_work(monkeypatch)
    (root / "train" / "dog" / "0.png").unlink()
    error = fails(main, line)
    assert "another set, random of folder-pets, " in error and "(images.1: " in error


@pytest.mark.parametrize("what", ["method", "start"])
def test_a_version_that_was_raised_makes_another_set(what, out, fails, monkeypatch, capsys):
    """Also that of a method which chose the first images, which the set itself does not name."""
    line = [*LINE, "--out", str(out)]
    if what == "start":
        line += ["--method.start", "herding"]
        out.unlink()
        main(line)
    no_work(monkeypatch)
    main(line)
    assert "is there and whole" in capsys.readouterr().err
    module = registry.load("distill.methods", {"method": "dm", "start": "herding"}[what])
    monkeypatch.setattr(module, "VERSION", 99)
    assert re.search(r"version: \d, not 99\)", fails(main, line))


def foreign():
    """Files that are no sets, by what they are."""
    tensors = {"weight": torch.zeros(3)}
    return {
        "text": b"my notes, of no use to anybody else\n" * 20,
        "nothing": b"",
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "weights": safetensors.torch.save(tensors, {"format": "pt"}),
        "half of some weights": safetensors.torch.save(tensors)[:-5],
    }


@pytest.mark.parametrize("what", foreign())
def test_a_file_that_is_no_set_is_refused_before_the_data_are_loaded(
    what, fails, tmp_path, monkeypatch
):
    out = tmp_path / "set.safetensors"
    out.write_bytes(foreign()[what])

    def load(*given, **also):
        raise AssertionError("it loaded the images")

    monkeypatch.setattr(datasets, "load", load)
    error = fails(main, [*LINE, "--out", str(out)])
    assert error.startswith(f"error: --out {out} is there and no set (")
    assert "choose another --out, or delete it" in error and len(error) < 400
    assert out.read_bytes() == foreign()[what] and [*tmp_path.iterdir()] == [out]


def test_a_piece_of_a_store_is_no_set(fails, tmp_path):
    out = tmp_path / "piece.safetensors"
    store.write(out, {"images": torch.zeros(1)}, {"identity": {}, "facts": {"classes": []}})
    assert "is there and no set" in fails(main, [*LINE, "--out", str(out)])
    assert out.exists()


@pytest.mark.parametrize("how", ["cut", "cut in the header", "changed"])
def test_a_damaged_set_is_set_aside_and_made_again(how, out, capsys):
    whole, small = out.read_bytes(), SyntheticSet.load(out)
    damaged = {
        "cut": whole[:-1],
        "cut in the header": whole[:600],
        "changed": whole[:-1] + bytes([whole[-1] ^ 1]),
    }[how]
    out.write_bytes(damaged)
    main([*LINE, "--out", str(out)])
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {out} is not what it should be (")
    assert f"set aside as {out.with_suffix('.damaged')}\n" in said
    assert out.with_name("set.damaged").read_bytes() == damaged
    assert SyntheticSet.load(out).digest() == small.digest()


def test_a_file_of_an_earlier_suite_or_a_program_is_known_by_what_it_says(out, idle, capsys):
    """It says nothing of what came in later, a setting too; that had its default."""
    tensors, facts = store.read(out)
    del facts["further"], facts["code"], facts["made"]["config"]["schedule"]
    store.write(out, tensors, facts)
    main([*LINE, "--out", str(out)])
    assert "is there and whole" in capsys.readouterr().err


def test_what_another_run_has_written_meanwhile_is_not_replaced(out, tmp_path, content):
    real = datasets.load("digits", root=tmp_path).train
    one = Plan.of("dm", real.about, ipc=1, **SETTINGS)
    other = dataclasses.replace(one, seed=1)
    small = plan.distill(other, real)
    with pytest.raises(ValueError, match="holds another set"):
        finished.save(small, Asked.of(other, real, CPU), out, print)
    assert out.read_bytes() == content


def test_a_set_of_other_code_that_was_not_committed_is_made_again(out, capsys):
    tensors, facts = store.read(out)
    for committed in (True, False):
        code = {"digest": "another", "committed": committed}
        store.write(out, tensors, facts | {"code": code})
        main([*LINE, "--out", str(out)])
        said = capsys.readouterr().err
        assert ("is there and whole" in said) == committed
        assert ("by other code, which was not committed; it is made again" in said) != committed
    assert store.read(out)[1]["code"]["digest"] != "another"
