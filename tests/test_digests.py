"""The digests of classes: computed once, and never those of other images."""

import dataclasses
import pickle

import pytest

from distill import images


@pytest.fixture
def computed(monkeypatch):
    """How many digests were computed."""
    calls, function = [], images.digest

    def counting(*tensors):
        calls.append(tensors)
        return function(*tensors)

    monkeypatch.setattr(images, "digest", counting)
    return calls


@pytest.fixture
def real(digits):
    """A copy, which may be written to."""
    part = digits.train.only([1, 4, 8])
    return dataclasses.replace(part, images=part.images.clone())


def test_a_class_is_read_once_for_all_sets_that_hold_it(real, computed):
    whole = real.digests()
    assert len(computed) == 3
    apart, together = real.only([1, 8]), real.only([4, 8])
    assert {**apart.digests(), **together.digests()} == whole
    assert apart.only([8]).digests() == {"8": whole["8"]}
    assert pickle.loads(pickle.dumps(real)).digests() == whole
    assert len(computed) == 3


def test_a_part_tells_the_whole_what_it_has_read(real, computed):
    real.only([1, 8]).digests()
    real.digests()
    assert len(computed) == 3


@pytest.mark.parametrize("labels", [[1, 8], [4, 8]], ids=["a copy", "a view"])
def test_writing_to_images_changes_their_digests(real, labels):
    before, part = real.digests(), real.only(labels)
    part.images[-1] //= 2
    written = part.digests()
    assert written["8"] != before["8"]
    assert real.digests() == before | (written if labels == [4, 8] else {})
    real.images[-1] = 7
    assert real.digests()["8"] == real.only([1, 8]).digests()["8"] not in (written, before["8"])
    assert pickle.loads(pickle.dumps(part)).digests() == part.digests()


def test_other_images_in_the_place_of_these_have_other_digests(real):
    before = real.digests()
    other = dataclasses.replace(real, images=real.images // 2)
    assert other.digests()["4"] != before["4"] and real.digests() == before
