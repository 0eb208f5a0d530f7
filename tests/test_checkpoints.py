"""A run that is broken off goes on where it stopped, to the same last bit."""

import io

import pytest
import torch

from distill import checkpoints
from distill.runtime.progress import Progress
from distill.runtime.store import Store
from distill.runtime.watch import Watch


class Broken(Progress):
    """A run that is killed after so many steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def advance(self, steps=1, note=""):
        super().advance(steps, note)
        if self.stage == "steps" and self.done >= self.steps:
            raise KeyboardInterrupt


class Counted(Progress):
    """Counts the steps that were really made."""

    made = 0

    def advance(self, steps=1, note=""):
        super().advance(steps, note)
        self.made += self.stage == "steps" and bool(note)


@pytest.fixture
def often(monkeypatch):
    """A checkpoint at every step."""
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)


SETTINGS = [
    {},
    {"networks": 0},
    {"schedule": "linear", "averaged": 0.5},
    {"momentum": 0.0, "averaged": 0.9},
    {"network": "convnet-d2-w8-batch"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("method", ["dm", "datadam"])
def test_a_run_broken_off_goes_on_to_the_very_same_images(
    digits, make, tmp_path, often, method, settings
):
    real, settings = digits.train.only([2, 5, 7]), {"iterations": 9, **settings}
    whole = make(method, real, 2, **settings)
    store = Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        make(method, real, 2, store=store, progress=Broken(5), **settings)
    counted = Counted()
    resumed = make(method, real, 2, store=store, progress=counted, **settings)
    assert counted.made == 4 and torch.equal(resumed.images, whole.images)


def test_ctrl_c_keeps_all_steps_but_the_one_in_hand(digits, make, tmp_path):
    store, real = Store(tmp_path), digits.train.only([1, 4])
    settings = {"iterations": 9, "schedule": "linear", "averaged": 0.5}
    for steps in (4, 7):
        with pytest.raises(KeyboardInterrupt):
            make("datadam", real, 2, store=store, progress=Broken(steps), **settings)
    counted = Counted()
    resumed = make("datadam", real, 2, store=store, progress=counted, **settings)
    whole = make("datadam", real, 2, **settings)
    assert counted.made == 2 and torch.equal(resumed.images, whole.images)


def test_what_a_set_took_counts_from_its_first_step(digits, make, tmp_path, often, monkeypatch):
    """A run that is broken off, and one that goes on from fewer steps."""
    store, real = Store(tmp_path), digits.train.only([2, 5])
    monkeypatch.setattr(Watch, "read", lambda watch: (10.0, 20.0))
    with pytest.raises(KeyboardInterrupt):
        make("dm", real, 1, store=store, progress=Broken(2), iterations=3)
    made = make("dm", real, 1, store=store, iterations=3).made
    assert (made.seconds, made.core_seconds) == (20.0, 40.0)
    made = make("dm", real, 1, store=store, iterations=5).made
    assert (made.seconds, made.core_seconds) == (30.0, 60.0)


def test_more_steps_go_on_from_fewer_and_fewer_begin_anew(digits, make, tmp_path, often):
    """One long run is judged at several marks: each goes on from the one before."""
    store, real = Store(tmp_path), digits.train.only([1, 4])
    steps = {}
    for iterations in (3, 8, 5):
        counted = Counted()
        small = make("dm", real, 1, store=store, progress=counted, iterations=iterations)
        assert torch.equal(small.images, make("dm", real, 1, iterations=iterations).images)
        steps[iterations] = counted.made
    assert steps == {3: 3, 8: 5, 5: 5}
    counted = Counted()  # what stood at 8 steps still does
    make("dm", real, 1, store=store, progress=counted, iterations=10)
    assert counted.made == 2


def test_a_falling_rate_does_not_go_on_from_fewer_steps_and_leaves_nothing(
    digits, make, tmp_path, often
):
    store, real = Store(tmp_path), digits.train.only([1, 4])
    for iterations in (3, 6):
        counted = Counted()
        settings = {"iterations": iterations, "schedule": "linear"}
        make("dm", real, 1, store=store, progress=counted, **settings)
        assert counted.made == iterations
    assert not list(tmp_path.glob("*-state-*")) and len(list(tmp_path.iterdir())) == 4


def test_classes_that_stand_at_different_steps_each_go_on(digits, make, tmp_path, often):
    """One was finished by another command, one was broken off early, one late, one not begun."""
    store, whole = Store(tmp_path), make("datadam", digits.train, 1, iterations=6)
    make("datadam", digits.train.only([0]), 1, store=store, iterations=6)
    for label, step in ((3, 2), (8, 4)):
        with pytest.raises(KeyboardInterrupt):
            real = digits.train.only([label])
            make("datadam", real, 1, store=store, progress=Broken(step), iterations=6)
    counted = Counted()
    small = make("datadam", digits.train, 1, store=store, progress=counted, iterations=6)
    assert torch.equal(small.images, whole.images)
    assert counted.made == 4 + 2 + 6


def test_a_damaged_checkpoint_is_set_aside_and_only_its_class_begins_anew(
    digits, make, tmp_path, often
):
    said = io.StringIO()
    store, real = Store(tmp_path, Progress(said).say), digits.train.only([3, 8])
    with pytest.raises(KeyboardInterrupt):
        make("dm", real, 1, store=store, progress=Broken(4), iterations=6)
    (path,) = tmp_path.glob("*class3-state-*")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    counted = Counted()
    small = make("dm", real, 1, store=store, progress=counted, iterations=6)
    assert torch.equal(small.images, make("dm", real, 1, iterations=6).images)
    assert counted.made == 2 + 6
    assert "warning" in said.getvalue() and len(list(tmp_path.glob("*.damaged"))) == 1


def test_a_short_run_keeps_no_checkpoint(digits, make, tmp_path):
    make("dm", digits.train.only([3]), 1, store=Store(tmp_path))
    assert len(list(tmp_path.iterdir())) == 1


def test_another_seed_does_not_go_on_from_this_one(digits, make, tmp_path, often):
    store, real = Store(tmp_path), digits.train.only([3])
    make("dm", real, 1, store=store, iterations=3)
    counted = Counted()
    make("dm", real, 1, seed=1, store=store, progress=counted, iterations=5)
    assert counted.made == 5
