"""The one door: what a store holds is not made again, and the set is the same either way."""

import dataclasses

import numpy as np
import pytest
import torch

from distill.checks import require_ipc
from distill.images import Normalisation
from distill.methods import datadam, random
from distill.plan import Plan, distill
from distill.runtime import registry
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import Mistake
from distill.runtime.store import Store

from conftest import SMALL


def plan(method="datadam", ipc=1, seed=0, **changes):
    config = registry.load("distill.methods", method).Config(**{**SMALL[method], **changes})
    return Plan(method, config, ipc, seed)


@pytest.fixture
def fill(tmp_path, monkeypatch):
    """fill(real, ...): the set through a store; `fill.made` are the classes really distilled."""
    made = []

    def run(real, asked=None, compute=None, **settings):
        asked = asked or plan(**settings)
        original = asked.module.distill

        def counting(real, *args, **kwargs):
            made.append(real.present)
            return original(real, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(asked.module, "distill", counting)
            return distill(asked, real, compute=compute or Compute(), store=Store(tmp_path))

    run.made = made
    return run


def test_no_class_is_distilled_twice(fill, digits):
    first = fill(digits.train.only([1, 2]))
    second = fill(digits.train.only([2, 3]))
    again = fill(digits.train.only([1, 2, 3]))
    assert fill.made == [[1, 2], [3]]
    assert again.labels.tolist() == [1, 2, 3]
    assert torch.equal(again.images, torch.cat([first.images, second.images[1:]]))


@pytest.mark.parametrize("method", registry.names("distill.methods"))
def test_a_set_partly_from_the_store_is_the_one_made_at_once(fill, digits, method):
    if plan(method).config.couples_classes:
        pytest.skip("it is made as a whole")
    part = digits.train.only([0, 4, 7, 9])
    at_once = distill(plan(method, ipc=2), part)
    fill(digits.train.only([9, 4]), plan(method, ipc=2))
    pieced = fill(part, plan(method, ipc=2))
    assert fill.made == [[4, 9], [0, 7]]
    assert torch.equal(pieced.labels, at_once.labels)
    assert torch.equal(pieced.images, at_once.images)
    spent = {name: getattr(at_once.made, name) for name in ("seconds", "core_seconds")}
    assert dataclasses.replace(pieced.made, **spent) == at_once.made
    assert list(pieced.made.digests) == ["0", "4", "7", "9"]


def test_a_set_from_pieces_took_the_seconds_of_all_of_them(fill, digits):
    first = fill(digits.train.only([1, 2]))
    second = fill(digits.train.only([3]))
    assert first.made.seconds > 0 and second.made.seconds > 0
    whole = fill(digits.train.only([1, 2, 3]))
    assert whole.made.seconds == pytest.approx(first.made.seconds + second.made.seconds)
    assert len(fill.made) == 2


def test_anything_that_matters_makes_a_new_set(fill, digits, monkeypatch):
    part = digits.train.only([4])
    darker = dataclasses.replace(part, images=part.images // 2)
    fill(part)
    for changes in ({"seed": 1}, {"ipc": 2}, {"power": 1}, {"method": "dm"}):
        fill(part, **changes)
    fill(darker)
    fill(part.normalised_by(Normalisation((0.4,), (0.25,), "other")))
    fill(dataclasses.replace(part, about=dataclasses.replace(part.about, operations=("crop",))))
    assert len(fill.made) == 8
    monkeypatch.setattr(datadam, "VERSION", datadam.VERSION + 1)
    fill(part)
    assert len(fill.made) == 9


def test_where_it_is_computed_does_not_matter(fill, digits):
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            fill(digits.train.only([4]), compute=Compute(threads=count))
    finally:
        torch.set_num_threads(threads)
    assert len(fill.made) == 1


def test_where_it_lies_does_not_matter(digits, tmp_path, monkeypatch):
    """A store that is moved is the same store."""
    part = digits.train.only([4, 6])
    first = distill(plan("random"), part, store=Store(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "elsewhere")
    monkeypatch.delattr(random, "distill")
    again = distill(plan("random"), part, store=Store(tmp_path / "elsewhere"))
    assert again.digest() == first.digest() and again.made.digests == first.made.digests


def test_coupled_classes_are_kept_together(fill, digits):
    network = "convnet-d2-w8-batch"
    fill(digits.train.only([1, 2]), network=network)
    fill(digits.train.only([1, 3]), network=network)
    again = fill(digits.train.only([1, 2]), network=network)
    assert fill.made == [[1, 2], [1, 3]]
    assert list(again.made.digests) == ["1", "2"]


def test_a_piece_kept_before_a_setting_came_in_goes_with_newer_ones(fill, digits):
    """The new setting has its default, so the identity is the same and the piece is found."""
    asked = plan()
    fill(digits.train.only([1]), asked)
    fields = [("novelty", float, 0.5)]
    larger = dataclasses.make_dataclass("Larger", fields, bases=(datadam.Config,), frozen=True)
    newer = dataclasses.replace(asked, config=larger(**dataclasses.asdict(asked.config)))
    whole = fill(digits.train.only([1, 2]), newer)
    assert fill.made == [[1], [2]]
    assert whole.made.config == dataclasses.asdict(newer.config)
    assert fill(digits.train.only([1]), newer).made.config["novelty"] == 0.5


def test_a_set_says_how_it_was_made(digits):
    part = digits.train.only([3, 5])
    asked = plan(ipc=2, seed=7)
    made = distill(asked, part).made
    assert (made.method, made.version, made.ipc, made.seed) == ("datadam", datadam.VERSION, 2, 7)
    assert made.config == dataclasses.asdict(asked.config)
    assert made.dataset == {"name": "digits", "version": 1, "without": ["flip"]}
    assert made.normalisation == digits.train.normalisation.describe()
    assert made.versions["torch"] == torch.__version__.split("+")[0]
    assert list(made.digests) == ["3", "5"]
    brighter = dataclasses.replace(part, images=part.images.clone())
    brighter.images[-1] //= 2
    other = distill(plan("random"), brighter).made.digests
    assert other["3"] == made.digests["3"] and other["5"] != made.digests["5"]


def test_the_images_per_class_must_fit_every_class(digits):
    require_ipc(digits.train, 116)
    with pytest.raises(Mistake, match="--ipc 117 is more than the 116 images of class '8' of dig"):
        require_ipc(digits.train, 117)
    require_ipc(digits.train.only([3]), 117)
    for ipc in (0, -1):
        with pytest.raises(Mistake, match=f"{ipc} images per class is not a set; --ipc takes 1 or"):
            distill(Plan("random", random.Config(), ipc), digits.train)


def test_a_plan_is_a_preset_with_changes(digits):
    about = digits.train.about
    asked = Plan.of("datadam", about, ipc=5, seed=3, power=1, formation=2)
    expected = dataclasses.replace(datadam.preset(about, 5, "laptop"), power=1, formation=2)
    assert asked == Plan("datadam", expected, 5, 3)
    paper = Plan.of("datadam", about, ipc=60, preset="paper").config
    assert paper == datadam.preset(about, 60, "paper") != expected
    with pytest.raises(Mistake, match="unknown setting of datadam 'powr'; .*did you mean power"):
        Plan.of("datadam", about, ipc=1, powr=1)
    with pytest.raises(Mistake, match="--method.power 0: give above 0"):
        Plan.of("datadam", about, ipc=1, power=0)


def test_what_was_made_deterministically_is_another_piece(fill, digits):
    strict = Compute(deterministic=True)
    for compute in (None, strict, strict):
        fill(digits.train.only([0]), compute=compute)
    fill(digits.train.only([0]), plan("random"), compute=strict)
    CPU.enter()
    assert fill.made == [[0], [0], [0]]


def test_what_was_compiled_by_order_is_not_what_the_rule_made(fill, digits):
    real = digits.train.only([0])
    fill(real)
    fill(real, compute=Compute(compile="never"))
    fill(real, compute=Compute(compile="never"))
    assert fill.made == [[0], [0]]
    for method in ("random", "dc"):
        fill(real, plan(method))
        fill(real, plan(method), compute=Compute(compile="never"))  # it compiles nothing
    assert fill.made == [[0], [0], [0], [0]]


def test_what_is_of_another_type_is_refused_by_name_and_numpys_numbers_are_numbers(digits):
    about = digits.train.about
    plan = Plan.of("dm", about, ipc=np.int64(2), seed=np.int64(3), iterations=np.int32(4))
    assert plan == Plan.of("dm", about, ipc=2, seed=3, iterations=4)
    assert type(plan.seed) is type(plan.ipc) is type(plan.config.iterations) is int
    for given, said in (
        ({"seed": 1.0}, "seed=1.0: give a whole number"),
        ({"ipc": "1"}, "ipc='1': give a whole number"),
        ({"start": 5}, "start=5: give a str"),
        ({"augmented": "false"}, "augmented='false': give a bool"),
        ({"iterations": True}, "iterations=True: give a int"),
    ):
        with pytest.raises(Mistake, match=said):
            Plan.of("dm", about, **{"ipc": 1} | given)
