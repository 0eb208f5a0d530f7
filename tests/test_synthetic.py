"""A small set: kept, exported, looked at, put together."""

import dataclasses
import errno
import os

import numpy as np
import pytest
import torch
from PIL import Image

from distill import datasets
from distill.runtime.mistake import Mistake
from distill.sets import gallery
from distill.synthetic import SyntheticSet, merge


@pytest.fixture
def small(digits, make):
    return make("datadam", digits.train, 2)


def test_a_set_comes_back_from_its_file(small, tmp_path):
    small.save(tmp_path / "set.safetensors")
    back = SyntheticSet.load(tmp_path / "set.safetensors")
    assert torch.equal(back.images, small.images) and torch.equal(back.labels, small.labels)
    assert back.classes == small.classes and back.made == small.made
    assert back.formation == small.formation and back.digest() == small.digest()


def test_it_is_a_torch_dataset(small):
    loader = torch.utils.data.DataLoader(small, batch_size=4)
    batches = list(loader)
    assert sum(len(labels) for _, labels in batches) == len(small) == 20
    images, labels = batches[0]
    assert torch.equal(images, small.images[:4]) and labels.tolist() == [0, 0, 1, 1]
    with pytest.raises(IndexError):
        small[-1]


def test_a_full_disk_leaves_the_old_file(small, tmp_path, monkeypatch):
    path = tmp_path / "set.safetensors"
    small.save(path)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Mistake, match="No space left"):
        merge([small, small]).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_exported_pictures_can_be_distilled_again(small, tmp_path):
    small.export(tmp_path / "train")
    small.export(tmp_path / "test")
    back = datasets.load("folder", root=tmp_path, size=8).train
    assert back.classes == small.classes and len(back) == 20
    clipped = small.images.clamp(0, 1).mul(255).round()
    assert torch.equal(back.images[:, :1].float(), clipped)


def tiles(path, classes, each, pixels, scale):
    """The pictures of a sheet, as they were before they were enlarged: [classes, each, H, W]."""
    sheet = torch.from_numpy(np.array(Image.open(path).convert("L"))).long()
    plan = gallery.layout(classes, each, pixels)
    assert plan.side == pixels * scale and sheet.shape == (plan.size[1], plan.size[0])

    def cut(label, number):
        (row, column), (y, x) = divmod(label, plan.across), divmod(number, plan.columns)
        left, top = (
            gallery.APART + n * (own + gallery.APART)
            for n, own in zip((column, row), plan.block, strict=True)
        )
        step = plan.side + gallery.GAP
        own = sheet[top + plan.text + y * step :, left + x * step :][: plan.side, : plan.side]
        return own[::scale, ::scale]

    return torch.stack([torch.stack([cut(c, n) for n in range(each)]) for c in range(classes)])


@pytest.mark.parametrize(("classes", "each"), [(10, 2), (3, 30), (201, 1)])
def test_the_sheet_shows_every_image_with_its_class(small, tmp_path, classes, each):
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (classes * each, 1, 8, 8), generator=stream) / 255
    labels = torch.arange(classes).repeat_interleave(each)[torch.randperm(len(images))]
    names = tuple(map(str, range(classes)))
    mixed = dataclasses.replace(small, images=images, labels=labels, classes=names)
    mixed.grid(tmp_path / "grid.png")
    shown = tiles(tmp_path / "grid.png", classes, each, 8, scale=8)
    for label in range(classes):
        expected = (images[labels == label, 0] * 255).round().long()
        assert torch.equal(shown[label], expected)


@pytest.mark.parametrize("each", [1, 3, 10, 50])
@pytest.mark.parametrize("classes", [1, 2, 10, 37, 100, 200, 1000])
@pytest.mark.parametrize("pixels", [8, 64, 128])
def test_a_sheet_has_the_proportions_of_a_screen(classes, each, pixels):
    plan = gallery.layout(classes, each, pixels)
    width, height = plan.size
    assert 0.5 < width / height < 3 and max(width, height) < 7000
    assert plan.across * plan.down >= classes and plan.columns * plan.rows >= each
    room = plan.across * plan.down * plan.columns * plan.rows
    assert room < 1.5 * classes * each, "most of it is images"


def test_where_there_are_few_classes_their_names_are_written(small):
    def drawn(names, images=small.images):
        return gallery.sheet(torch.ones_like(images), small.labels, names)

    names = [f"a class of the number {n}" for n in range(10)]
    assert (drawn(names) < 0.5).any() and not torch.equal(drawn(names), drawn(names[::-1]))
    assert (drawn(["" for _ in names]) == 1).all()
    assert torch.equal(drawn(["two\nlines"] * 10), drawn(["two?lines"] * 10))


def test_the_sheet_squeezes_what_lies_outside_into_view(small, tmp_path):
    one = small.only([4])
    wide = dataclasses.replace(one, images=one.images * 20 - 5)
    wide.grid(tmp_path / "grid.png")
    (shown,) = tiles(tmp_path / "grid.png", 1, 2, 8, scale=8)
    for picture, image in zip(shown, wide.images[:, 0], strict=True):
        assert picture.min() == 0 and picture.max() == 255
        inside = (picture > 0) & (picture < 255)
        order = image[inside].argsort()
        assert (picture[inside][order].diff() >= 0).all() and inside.float().mean() > 0.5


def test_bytes_are_counted_as_pixels_take_them(small, digits, make):
    assert small.stored_bytes == 20 * 64 * 4
    assert make("random", digits.train, 2).stored_bytes == 20 * 64
    nearly = make("random", digits.train, 1)
    nearly.images[3, 0, 4, 4] += 0.3 / 255
    assert nearly.stored_bytes == 10 * 64 * 4


def test_a_merged_set_says_of_all_its_parts_how_they_were_made(digits, make):
    parts = [make("dm", digits.train.only(classes), 2) for classes in ([7], [1, 4])]
    merged = merge(parts)
    assert merged.labels.tolist() == [7, 7, 1, 1, 4, 4]
    assert torch.equal(merged.images, torch.cat([part.images for part in parts]))
    assert merged.made.digests == {**parts[0].made.digests, **parts[1].made.digests}
    assert merged.made.seconds == pytest.approx(sum(part.made.seconds for part in parts))
    at_once = make("dm", digits.train.only([1, 4, 7]), 2)
    assert merged.made.digests == at_once.made.digests
    assert torch.allclose(merged.only([1, 4]).images, at_once.only([1, 4]).images, atol=1e-4)


def test_sets_of_two_kinds_are_not_merged(digits, make):
    part = digits.train.only([7])
    first = make("random", part, 2)
    others = [make("random", part, 1), make("random", part, 2, seed=1), make("herding", part, 2)]
    others.append(dataclasses.replace(first, formation=2))
    for other in others:
        with pytest.raises(AssertionError, match="two kinds"):
            merge([first, other])


def test_a_part_of_a_set_takes_its_share_of_the_seconds_and_its_digests(small):
    parts = [small.only([3]), small.only([0, 9])]
    assert [part.labels.tolist() for part in parts] == [[3, 3], [0, 0, 9, 9]]
    assert torch.equal(parts[0].images, small.images[6:8])
    seconds = [part.made.seconds for part in parts]
    assert seconds == pytest.approx([0.1 * small.made.seconds, 0.2 * small.made.seconds])
    assert [list(part.made.digests) for part in parts] == [["3"], ["0", "9"]]


def test_the_digest_sees_pixels_labels_and_formation(small):
    brighter = dataclasses.replace(small, images=small.images + 1e-6)
    relabelled = dataclasses.replace(small, labels=small.labels.flip(0))
    formed = dataclasses.replace(small, formation=2)
    digests = {s.digest() for s in (small, brighter, relabelled, formed)}
    assert len(digests) == 4
    slower = dataclasses.replace(small, made=dataclasses.replace(small.made, seconds=1e6))
    assert slower.digest() == small.digest()
