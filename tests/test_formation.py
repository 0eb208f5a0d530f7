"""Several smaller images in the place of one: cut, enlarged and put together as worked out here."""

import dataclasses
import functools

import pytest
import torch
import torch.nn.functional as F

from benchmarks.cost import reference
from distill import datasets, formation
from distill.images import Data, ImageSet, Normalisation
from distill.methods import datadam
from distill.objectives.matching import Matching
from distill.plan import Plan, distill
from distill.runtime.compute import CPU
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator
from distill.synthetic import SyntheticSet
from distill.whitening import whitened


def random_images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def cut(image, factor):
    """The parts of one stored image [C, H, W], row by row, each enlarged to [C, H, W]."""
    _, height, width = image.shape
    h, w = height // factor, width // factor
    parts = []
    for y in range(factor):
        for x in range(factor):
            part = image[:, y * h : (y + 1) * h, x * w : (x + 1) * w]
            parts.append(F.interpolate(part[None], size=(height, width), mode="bilinear")[0])
    return torch.stack(parts)


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("size", [(8, 8), (8, 12)])
def test_parts_are_cut_row_by_row_and_enlarged(factor, size):
    images = random_images(3, 2, *size)
    decoded = formation.decode(images, factor)
    expected = torch.cat([cut(image, factor) for image in images])
    assert decoded.shape == (3 * factor**2, 2, *size)
    assert torch.allclose(decoded, expected, atol=1e-6)


def test_each_class_decodes_its_own_images():
    images = random_images(2, 3, 1, 8, 8)
    decoded = formation.decode(images, 2)
    assert decoded.shape == (2, 12, 1, 8, 8)
    for images_of_class, decoded_of_class in zip(images, decoded, strict=True):
        assert torch.equal(formation.decode(images_of_class, 2), decoded_of_class)


def test_enlarging_by_hand():
    image = torch.tensor([[0.0, 4.0, 9.0, 9.0], [8.0, 4.0, 9.0, 9.0]])
    image = torch.cat([image, torch.full((2, 4), 5.0)])[None, None]
    first, *rest = formation.decode(image, 2)[:, 0]
    columns = torch.tensor([[0.0, 1.0, 3.0, 4.0], [8.0, 7.0, 5.0, 4.0]])
    top, bottom = columns
    rows = torch.stack([top, 0.75 * top + 0.25 * bottom, 0.25 * top + 0.75 * bottom, bottom])
    assert torch.allclose(first, rows)
    assert [part.unique().tolist() for part in rest] == [[9], [5], [5]]


def test_images_are_shrunk_by_areas_and_put_together_row_by_row():
    images = random_images(8, 3, 8, 12)
    stored = formation.encode(images, 2)
    small = F.avg_pool2d(images, 2)
    assert stored.shape == (2, 3, 8, 12)
    for place in range(2):
        rows = [torch.cat([small[4 * place + k], small[4 * place + k + 1]], 2) for k in (0, 2)]
        assert torch.allclose(stored[place], torch.cat(rows, 1), atol=1e-6)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_images_of_one_colour_come_back_as_they_were(factor):
    images = torch.arange(2.0 * factor**2 * 3).view(-1, 3, 1, 1).expand(-1, -1, 8, 8)
    stored = formation.encode(images, factor)
    assert stored.shape == (2, 3, 8, 8)
    assert torch.allclose(formation.decode(stored, factor), images)


def test_labels_follow_the_parts():
    assert formation.labels(torch.tensor([3, 5]), 2).tolist() == [3] * 4 + [5] * 4
    assert formation.labels(torch.tensor([3, 5]), 1).tolist() == [3, 5]


def test_each_stored_image_starts_as_different_real_ones():
    pixels = (random_images(9, 1, 8, 8) * 255).to(torch.uint8)
    stored = formation.start(pixels, 2, 2, generator(0))
    order = torch.randperm(9, generator=generator(0))
    small = F.avg_pool2d(pixels[order[:8]].float() / 255, 2)
    tiles = stored.view(2, 2, 4, 2, 4).permute(0, 1, 3, 2, 4).reshape(8, 4, 4)
    assert torch.allclose(tiles, small[:, 0], atol=1e-6)


def test_a_class_with_too_few_images_begins_again_with_its_first():
    pixels = (torch.arange(3).view(3, 1, 1, 1) * 100).expand(3, 1, 8, 8).to(torch.uint8)
    stored = formation.start(pixels, 1, 2, generator(0))
    values = formation.decode(stored, 2)[:, 0, 0, 0]
    assert values[3] == values[0] and len(values.unique()) == 3


@pytest.mark.parametrize(
    ("size", "fit"), [((8, 8), [1, 2]), ((32, 32), [1, 2, 4, 8]), ((8, 12), [1, 2]), ((6, 6), [1])]
)
def test_parts_have_at_least_four_pixels_a_side_and_cover_the_image(size, fit):
    for factor in range(-1, 34):
        if factor in fit:
            formation.require(factor, (1, *size))
        else:
            with pytest.raises(Mistake, match=f"--method.formation {factor}: images of "):
                formation.require(factor, (1, *size))


@pytest.mark.parametrize(("factor", "size"), [(2, (8, 12)), (4, (16, 16)), (1, (8, 12))])
def test_enlarging_and_whitening_in_one_are_undoing_the_whitening_enlarging_and_whitening(
    factor, size
):
    mixed = random_images(500, 3, 1, 1) + 0.4 * random_images(500, 3, *size)
    about = dataclasses.replace(datasets.about("folder", size=8), classes=("a",))
    about = dataclasses.replace(
        about, shape=(3, *size), normalisation=Normalisation((0.4, 0.5, 0.7), (0.1, 0.2, 0.4), "")
    )
    pixels = (mixed * 180).to(torch.uint8)
    real = ImageSet.sorted(about, pixels, torch.zeros(500, dtype=torch.int64))
    normalise = whitened(Data(real, real)).train.normalisation
    images = torch.randn(2, 3, 3, *size, generator=generator(0))
    expected = normalise(formation.decode(normalise.inverse(images), factor))
    shown = formation.Shown(factor, normalise, (3, *size))
    assert torch.allclose(shown(images), expected, atol=1e-4)


@pytest.fixture(scope="module")
def coloured():
    """Correlated colour pictures in two classes, whitened."""
    base = random_images(60, 3, 1, 1)
    pixels = (0.6 * base + 0.4 * random_images(60, 3, 8, 8)) * 255
    about = dataclasses.replace(datasets.about("folder", size=8), classes=("a", "b"))
    real = ImageSet.sorted(about, pixels.to(torch.uint8), torch.arange(60) % 2)
    return whitened(Data(real, real)).train


def test_with_zca_what_learning_shows_a_network_is_what_training_shows_it(coloured):
    """Enlarging happens in pixels, before the whitening, in learning as in training."""
    stored = random_images(2, 1, 3, 8, 8)
    normalise = coloured.normalisation
    expected = normalise(formation.decode(stored, 2))
    shown = formation.Shown(2, normalise, stored.shape[2:])
    assert torch.allclose(shown(normalise(stored)), expected, atol=1e-4)
    assert not torch.allclose(formation.decode(normalise(stored), 2), expected, atol=0.1)

    seen = []

    def statistic(network, images):
        seen.append(images.detach())
        return datadam.statistic(network, images, config=config)

    config = datadam.Config(formation=2, network="convnet-d2-w8", real_batch=5, augmented=False)
    matcher = Matching(statistic, coloured, ipc=2, config=config, seed=0, compute=CPU)
    matcher.step(normalise(stored), 0)
    real = expected.flatten(0, 1)
    assert torch.allclose(seen[-1][: len(real)], real, atol=1e-4)


@pytest.mark.parametrize("whiten", [False, True])
def test_a_step_on_stored_images_is_the_published_step_on_the_decoded_ones(coloured, whiten):
    real = coloured if whiten else coloured.normalised_by(coloured.about.normalisation)
    config = datadam.Config(formation=2, network="convnet-d2-w8", real_batch=20)
    statistic = functools.partial(datadam.statistic, config=config)
    stored = real.normalisation(random_images(2, 2, 3, 8, 8)).requires_grad_()
    decoded = formation.decode(real.normalisation.inverse(stored), 2)
    plain = dataclasses.replace(config, formation=1)
    loss = reference.loss(real.normalisation(decoded), real, plain, step=3)
    (gradient,) = torch.autograd.grad(loss, stored)
    matcher = Matching(statistic, real, ipc=2, config=config, seed=0, compute=CPU)
    step = matcher.step(stored.detach(), 3)
    assert step.loss == pytest.approx(loss.item(), rel=1e-3)
    assert (step.gradient - gradient).norm() < 1e-2 * gradient.norm()


@pytest.fixture(scope="module")
def formed(digits):
    config = datadam.Config(
        formation=2, network="convnet-d2-w8", networks=2, real_batch=20, iterations=4
    )
    return distill(Plan("datadam", config, 2), digits.train)


def test_a_formed_set_stores_few_images_and_shows_many(formed):
    assert formed.formation == 2 and len(formed.images) == 20 and len(formed) == 80
    images, labels = formed.decoded()
    assert images.shape == (80, 1, 8, 8) and labels.bincount().tolist() == [8] * 10
    assert torch.equal(labels, formed.labels.repeat_interleave(4))
    expected = torch.cat([cut(image, 2) for image in formed.images])
    assert torch.allclose(images, expected, atol=1e-5)


def test_its_items_are_what_a_network_is_shown(formed):
    images, labels = formed.decoded()
    items = list(formed)
    assert len(items) == 80
    for (image, label), shown, right in zip(items, images, labels, strict=True):
        assert torch.allclose(image, shown, atol=1e-6) and label == right
    with pytest.raises(IndexError):
        formed[80]


def test_its_bytes_are_those_of_what_is_stored(formed):
    assert formed.stored_bytes == 20 * 64 * 4


def test_its_formation_is_kept_in_its_file_and_its_digest(formed, tmp_path):
    formed.save(tmp_path / "set.safetensors")
    back = SyntheticSet.load(tmp_path / "set.safetensors")
    assert back.formation == 2 and back.digest() == formed.digest()
    assert all(torch.equal(*pair) for pair in zip(back.decoded(), formed.decoded(), strict=True))
    assert dataclasses.replace(formed, formation=1).digest() != formed.digest()
    assert formed.only([3]).formation == 2 and len(formed.only([3])) == 8


def test_it_is_exported_as_it_is_shown(formed, tmp_path):
    formed.export(tmp_path)
    assert {len(list(folder.iterdir())) for folder in tmp_path.iterdir()} == {8}


def test_it_pulls_to_the_same_images_alone_as_with_all(digits, formed):
    config = datadam.Config(**formed.made.config)
    alone = distill(Plan("datadam", config, 2), digits.train.only([6]))
    assert torch.allclose(alone.images, formed.only([6]).images, atol=1e-4)
