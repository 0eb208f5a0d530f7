"""Sets side by side: which rows and images are drawn, and the accuracy beside each."""

import dataclasses

import pytest
import torch
from PIL import Image

from benchmarks.gallery import sheet, worth
from benchmarks.gallery.__main__ import main
from benchmarks.gallery.opened import finished, opened
from distill import datasets
from distill.plan import Plan, distill
from distill.runtime.store import Store, write

from records import DIGITS, classification_record, continual_record


@pytest.fixture(scope="module")
def sets():
    """By method; of digits, two images a class."""
    real = datasets.load("digits").train
    plans = [Plan.of(m, real.about, ipc=2, seed=5, preset="laptop") for m in ("herding", "random")]
    return {plan.method: distill(plan, real) for plan in plans}


def used(record, *sets):
    """The record, as if it had used these sets."""
    known = [dataclasses.replace(record.sets[0], digest=own.digest()) for own in sets]
    return dataclasses.replace(record, sets=known)


def test_the_accuracy_of_a_set_is_that_of_the_networks_trained_on_it(sets):
    random, herding = sets["random"], sets["herding"]
    alone = classification_record("random", accuracies=((30.0, 31.0), (50.0, 52.0)), dataset=DIGITS)
    more = continual_record("herding", label="herding x", orders=5)
    records = [used(alone, herding, random), used(more, herding, random)]
    both = used(continual_record("random"), random, random)
    assert worth.of_sets([random], records).accuracy(random.digest()) == "51.0 % (n = 2)"
    judged = worth.of_sets([random, herding], records[1:])
    finals = [own[-1][-1] for matrices in more.results.matrices[1::2] for own in matrices]
    assert len(judged.values[random.digest()]) == len(finals) == 4
    assert judged.labels[random.digest()] == "herding x" and "2 steps" in judged.setting
    assert len(worth.of_sets([random], [both]).values[random.digest()]) == 8
    assert worth.of_sets([random], []).accuracy(random.digest()) == ""


def test_a_row_a_set_and_the_same_classes_in_columns(sets, tmp_path, capsys):
    paths = [tmp_path / f"{method}.safetensors" for method in sets]
    for path, own in zip(paths, sets.values(), strict=True):
        own.save(path)
    record = classification_record("random", accuracies=((51.0,),), dataset=DIGITS)
    used(record, sets["random"]).write(tmp_path / "runs" / "records")
    out = tmp_path / "sheet.png"
    args = ["--sets", *map(str, paths), "--out", str(out), "--classes", "3"]
    main([*args, "--runs", str(tmp_path / "runs")])
    assert capsys.readouterr().out == f"{out}\n"
    judged = worth.of_sets([*sets.values()], [used(record, sets["random"])])
    drawn = sheet.draw([*sets.values()], judged, each=1, most=3)
    with Image.open(out) as picture:
        assert picture.size == (drawn.shape[2], drawn.shape[1])
        assert picture.text["Title"] == "digits, 2 images a class: random, herding"
    wider = sheet.draw([*sets.values()], judged, each=2, most=3)
    assert wider.shape[2] - drawn.shape[2] == 3 * (64 + 2)
    first, second = (sets[method].images[0] for method in ("random", "herding"))  # in table order
    top = sheet.EDGE + sheet.LINE + sheet.APART // 2
    left = drawn.shape[2] - sheet.EDGE - 3 * (64 + sheet.APART) + sheet.APART
    for place, image in enumerate((first, second)):
        y = top + place * (64 + sheet.APART)
        shown = drawn[0, y : y + 64 : 8, left : left + 64 : 8]
        assert torch.allclose(shown, image[0], atol=1 / 255)


def test_what_runs_keep_is_put_together_and_the_first_set_of_a_method_is_shown(tmp_path):
    real = datasets.load("digits").train
    kept, checkpoint = Store(tmp_path / "sets"), tmp_path / "sets" / "x-state.safetensors"
    plans = [Plan.of("random", real.about, ipc=1, seed=seed) for seed in (3, 4)]
    own = [distill(plan, real, store=kept) for plan in plans]
    write(checkpoint, {"images": torch.zeros(1)}, {"identity": {}, "facts": {"step": 3}})
    whole, pieces = opened(sorted((tmp_path / "sets").glob("*.safetensors")))
    assert not whole and len(list((tmp_path / "sets").glob("*"))) == 21
    assert {piece.digest() for piece in pieces} == {one.digest() for one in own}
    record = used(classification_record("random", accuracies=((51.0,), (52.0,))), *own)
    made = dataclasses.replace(own[1].made, method="dm")
    unjudged = dataclasses.replace(own[1], made=made, images=own[1].images / 2)
    for order in (pieces, pieces[::-1]):
        shown = worth.of_sets(order, [record]).firsts([*order, unjudged])
        assert [one.digest() for one in shown] == [own[0].digest(), unjudged.digest()]


def test_rows_of_one_method_are_told_apart_by_what_made_them(sets):
    own = sets["herding"]
    other = dataclasses.replace(own.made, config=own.made.config | {"networks": 7})
    three = [own, dataclasses.replace(own, made=other, images=own.images / 2)]
    three.append(dataclasses.replace(own, images=own.images / 4))
    named = sheet.title(three, worth.of_sets(three, [])).partition(": ")[2].split(", ")
    assert named == ["herding networks=4", "herding networks=7", "herding networks=4 (2)"]


def test_what_a_run_has_not_finished_is_left_out(tmp_path, capsys):
    real = datasets.load("digits").train
    plans = [Plan.of("random", real.about, ipc=1, seed=seed) for seed in (3, 4)]
    for plan in plans:
        distill(plan, real, store=Store(tmp_path / "sets"))
    files = sorted((tmp_path / "sets").glob("*.safetensors"))
    files[0].unlink()
    main(
        ["--sets", *map(str, files[1:]), "--out", str(tmp_path / "s.png"), "--runs", str(tmp_path)]
    )
    assert "left out: 1 of the sets in pieces, with fewer classes" in capsys.readouterr().err
    _, pieces = opened(files[1:])
    assert [len(own.labels) for own in finished(pieces)[0]] == [10]


def test_sets_that_share_no_sheet_are_refused(sets, tmp_path, fails):
    one = sets["random"]
    paths = [str(tmp_path / name) for name in ("a.safetensors", "b.safetensors")]
    one.save(paths[0])
    made = dataclasses.replace(one.made, dataset=one.made.dataset | {"name": "mnist"})
    for other, said in (
        (dataclasses.replace(one, made=made), "the sets are of digits and of mnist; give"),
        (dataclasses.replace(one, images=one.images.repeat(1, 1, 2, 2)), "1x8x8 and of 1x16x16"),
    ):
        other.save(paths[1])
        error = fails(main, ["--sets", *paths, "--out", str(tmp_path / "sheet.png")])
        assert said in error
    one.only([1]).save(paths[0])
    one.only([2]).save(paths[1])
    assert "no class in common" in fails(main, ["--sets", *paths, "--out", f"{tmp_path}/s.png"])
    assert "ends in .png" in fails(main, ["--sets", paths[0], "--out", f"{tmp_path}/s.jpg"])
    assert not [*tmp_path.glob("*.png")]
