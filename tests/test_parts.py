"""What a set consists of while it is being made, beside its file."""

import dataclasses

import pytest

from distill import checkpoints, datasets, learn
from distill.__main__ import main
from distill.plan import KIND, Plan, pieces_of
from distill.runtime.compute import Compute
from distill.runtime.store import Store
from distill.sets import parts
from distill.sets.beforehand import SetSource
from distill.synthetic import SyntheticSet

SETTINGS = {"network": "convnet-d2-w8", "networks": 2, "iterations": 4}
LINE = "--method dm --dataset digits --method.network convnet-d2-w8 --method.networks 2"
LINE = f"{LINE} --method.iterations 4 --out"


def made(out, *more):
    main([*LINE.split(), str(out), *more])
    return SyntheticSet.load(out)


def test_a_set_goes_on_from_its_pieces_which_go_when_it_is_whole(tmp_path, capsys):
    out, real = tmp_path / "set.safetensors", datasets.load("digits", root=tmp_path).train
    plan, compute = Plan.of("dm", real.about, ipc=1, **SETTINGS), Compute.of("cpu", real.shape)
    three = SetSource(real, compute, parts.name(out)).distill(plan, real.only([3]))
    (place,) = pieces_of(plan, real.only([3]), compute)
    slow = dataclasses.replace(three, made=dataclasses.replace(three.made, seconds=1e6))
    Store(parts.name(out)).put(place.name, KIND, place.facts, slow.tensors(), slow.facts())
    small = made(out)
    assert "found 1 of 10 classes finished\n" in capsys.readouterr().err
    assert small.made.seconds > 1e6, "the piece was taken"
    assert not parts.name(out).exists()
    out.unlink()
    anew = made(out)
    assert anew.made.seconds < 1e6 and anew.digest() == small.digest(), "made again"
    assert "found" not in capsys.readouterr().err


def test_what_is_found_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    def broken_off(learned, step, number):
        if number == 2:
            raise KeyboardInterrupt
        follow(learned, step, number)

    out, follow = tmp_path / "set.safetensors", learn._Learned.follow
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(learn._Learned, "follow", broken_off)
        made(out)
    assert "found" not in capsys.readouterr().err
    real = datasets.load("digits", root=tmp_path).train
    plan, compute = Plan.of("dm", real.about, ipc=1, **SETTINGS), Compute.of("cpu", real.shape)
    SetSource(real, compute, parts.name(out)).distill(plan, real.only([3, 7]))
    made(out)
    said = [line for line in capsys.readouterr().err.splitlines() if "found" in line]
    assert said == ["found 2 of 10 classes finished, 8 in flight at step 2 of 4"]


def test_two_processes_make_the_same_set_as_one(tmp_path, capsys):
    two = made(tmp_path / "two.safetensors", "--workers", "2")
    assert "2 processes, one thread each" in capsys.readouterr().err
    assert two.digest() == made(tmp_path / "one.safetensors").digest()


def test_a_run_that_is_broken_off_leaves_them_and_nobody_deletes_what_is_not_ours(tmp_path):
    out, folder = tmp_path / "set.safetensors", tmp_path / "set.safetensors.parts"
    ours, users = folder / "digits-dm-ipc1-class3-0123456789.safetensors", folder / "notes.txt"
    with pytest.raises(KeyboardInterrupt), parts.beside(out, lambda: [ours], print):
        ours.touch()
        raise KeyboardInterrupt
    assert ours.exists()
    users.touch()
    with parts.beside(out, lambda: [ours], print):
        pass
    assert not ours.exists() and users.exists()


def test_what_another_set_was_left_with_stays(tmp_path, capsys):
    out, real = tmp_path / "set.safetensors", datasets.load("digits", root=tmp_path).train
    left, compute = Plan.of("random", real.about, ipc=2), Compute.of("cpu", real.shape)
    SetSource(real, compute, parts.name(out)).distill(left, real)
    before = sorted(file.name for file in parts.name(out).iterdir())
    main(["--method", "random", "--dataset", "digits", "--ipc", "1", "--out", str(out)])
    assert len(before) == 10
    assert sorted(file.name for file in parts.name(out).iterdir()) == before
    assert f"{parts.name(out)} still holds 10 files of another set" in capsys.readouterr().err
    assert len(parts.files_of(left, real, compute, Store(parts.name(out)))) == 10


def test_of_two_runs_at_once_the_last_one_deletes_them(tmp_path):
    out, folder = tmp_path / "set.safetensors", tmp_path / "set.safetensors.parts"
    with parts.beside(out, list, print):
        with parts.beside(out, list, print):
            pass
        assert folder.exists()
    assert not folder.exists()


def test_a_number_of_processes_in_words_is_refused(tmp_path, fails):
    error = fails(main, [*LINE.split(), str(tmp_path / "set.safetensors"), "--workers", "two"])
    assert error.startswith("error: Error parsing --workers: 'two' is not a whole number; give ")
    assert "--workers 0" in fails(
        main, ["--workers", "0", "--out", str(tmp_path / "set.safetensors")]
    )
