import math

import pytest
import torch

from distill.augment import OPERATIONS, Draw, augment, draw
from distill.runtime.seeding import generator

NAMES = ["colour", "crop", "cutout", "flip", "scale", "rotate"]


def one(name, numbers, images):
    """Apply one operation with shared numbers to images [B, C, H, W]."""
    drawn = Draw(torch.tensor([NAMES.index(name)]), torch.tensor(numbers).view(1, 1, 3))
    return augment(images[None], drawn)[0]


@pytest.fixture
def images():
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_the_operations_are_the_six_published_ones():
    assert [f.__name__.strip("_") for f in OPERATIONS] == NAMES


def test_colour(images):
    assert torch.allclose(one("colour", [0.5, 0.5, 0.5], images), images, atol=1e-6)
    brighter = one("colour", [1.0, 0.5, 0.5], images)
    assert torch.allclose(brighter, images + 0.5, atol=1e-5)
    grey = one("colour", [0.5, 0.0, 0.5], images)
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-6)
    flat = one("colour", [0.5, 0.5, 0.0], images)
    mean = images.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(flat, (images - mean) * 0.5 + mean, atol=1e-5)


def test_crop_shifts_by_whole_pixels_up_to_an_eighth(images):
    shifted = one("crop", [0.0, 0.999, 0.0], images)
    assert torch.equal(shifted[:, :, 2:, :-2], images[:, :, :-2, 2:])
    assert shifted[:, :, :2].abs().max() == 0 and shifted[:, :, :, -2:].abs().max() == 0
    assert torch.equal(one("crop", [0.5, 0.5, 0.0], images), images)


def test_cutout_zeroes_half_a_side_and_is_clipped(images):
    middle = one("cutout", [0.5, 0.5, 0.0], images)
    assert (middle == 0).sum() == 5 * 3 * 8 * 8
    corner = one("cutout", [0.0, 0.0, 0.0], images)
    assert (corner == 0).sum() == 5 * 3 * 4 * 4


def test_flip(images):
    assert torch.equal(one("flip", [0.2, 0, 0], images), images.flip(3))
    assert torch.equal(one("flip", [0.7, 0, 0], images), images)


def test_scale_and_rotate(images):
    unit = (1 - 1 / 1.2) / (1.2 - 1 / 1.2)
    assert torch.allclose(one("scale", [unit, unit, 0.0], images), images, atol=1e-4)
    assert torch.allclose(one("rotate", [0.5, 0.0, 0.0], images), images, atol=1e-4)
    # A bright pixel right of the centre, turned by 15 degrees, leaves its row by sin(15) * r.
    spot = torch.zeros(1, 1, 33, 33)
    spot[0, 0, 16, 28] = 1
    turned = one("rotate", [1.0, 0.0, 0.0], spot)[0, 0]
    row = (turned.sum(1) * torch.arange(33)).sum() / turned.sum()
    assert abs(abs(row - 16) - 12 * math.sin(math.radians(15))) < 0.5


def test_real_and_synthetic_images_of_a_class_get_the_same(images):
    drawn = draw([generator(0, "class", c) for c in range(4)])
    real = torch.stack([images] * 4)
    synthetic = real[:, :2]
    assert torch.allclose(augment(real, drawn)[:, :2], augment(synthetic, drawn), atol=1e-6)


def test_a_group_does_not_depend_on_the_others(images):
    drawn = draw([generator(0, "class", c) for c in range(12)])
    together = augment(torch.stack([images] * 12), drawn)
    for c in range(12):
        alone = augment(images[None], draw([generator(0, "class", c)]))
        assert torch.allclose(together[c], alone[0], atol=1e-6)
    assert len(drawn.operation.unique()) > 2


def test_training_draws_for_every_image(images):
    same = images[:1].expand(5, -1, -1, -1)
    seen = {
        len(torch.unique(augment(same[None], draw([generator(s)], images=5))[0], dim=0))
        for s in range(12)
    }
    assert max(seen) == 5
    shared = [
        len(torch.unique(augment(same[None], draw([generator(s)]))[0], dim=0)) for s in range(12)
    ]
    assert set(shared) == {1}


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_images(name, images):
    images.requires_grad_()
    one(name, [0.3, 0.6, 0.4], images).square().sum().backward()
    assert (images.grad != 0).float().mean() > 0.5
