"""DSA against numbers worked out here, by plain arithmetic from the published formulas."""

import math

import pytest
import torch

from distill import datasets
from distill.augment import OPERATIONS, Draw, at_once, augment, draw
from distill.runtime import registry
from distill.runtime.seeding import generator


def one(name, numbers, images):
    """Apply one operation with shared numbers to images [B, C, H, W]."""
    drawn = Draw(torch.tensor([OPERATIONS.index(name)]), torch.tensor(numbers).view(1, 1, 3))
    return augment(images[None], drawn)[0]


def random_images(*shape):
    """Between 0.5 and 1.5, so that a zero has been put there."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) + 0.5


@pytest.fixture
def images():
    return random_images(5, 3, 16, 16)


def colour_by_hand(pixels, brightness, saturation, contrast):
    """Of two RGB pixels: published ratios 1.0, 2.0 and 0.5, numbers within 0..1."""
    pixels = [[v + (brightness - 0.5) * 1.0 for v in pixel] for pixel in pixels]
    greys = [sum(pixel) / 3 for pixel in pixels]
    pixels = [
        [(v - grey) * (saturation * 2.0) + grey for v in pixel]
        for pixel, grey in zip(pixels, greys, strict=True)
    ]
    mean = sum(map(sum, pixels)) / 6
    return [[(v - mean) * (contrast + 0.5) + mean for v in pixel] for pixel in pixels]


@pytest.mark.parametrize(
    "numbers", [(0.5, 0.5, 0.5), (0.9, 0.5, 0.5), (0.5, 0.1, 0.5), (0.5, 0.5, 0), (0.2, 0.8, 0.7)]
)
def test_colour_is_brightness_then_saturation_then_contrast(numbers):
    pixels = [[0.1, 0.7, 0.4], [0.9, -0.3, 0.2]]
    image = torch.tensor(pixels).T.view(1, 3, 1, 2)
    expected = torch.tensor(colour_by_hand(pixels, *numbers)).T.view(1, 3, 1, 2)
    assert torch.allclose(one("colour", list(numbers), image), expected, atol=1e-6)


def shift(moved, image):
    """By how many rows and columns [H, W] was moved, zeros coming in."""
    height, width = image.shape
    for down in range(-height + 1, height):
        for right in range(-width + 1, width):
            expected = torch.zeros_like(image)
            rows, columns = (
                slice(max(down, 0), height + min(down, 0)),
                slice(max(right, 0), width + min(right, 0)),
            )
            expected[rows, columns] = image[
                max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
            ]
            if torch.equal(moved, expected):
                return down, right
    raise AssertionError("it was not moved by whole pixels")


@pytest.mark.parametrize(("size", "reach"), [(8, 1), (20, 3), (28, 4), (32, 4), (64, 8)])
def test_crop_reaches_an_eighth_of_the_size_halves_up(size, reach):
    """An eighth of 20 pixels are 2.5: three, as the published int(size / 8 + 0.5) has it."""
    assert reach == int(size / 8 + 0.5)
    row = torch.arange(1.0, size + 1).expand(1, 1, 1, size)
    firsts = []
    for step in range(2 * reach + 1):
        for within in (0.01, 0.99):
            moved = one("crop", [0.0, (step + within) / (2 * reach + 1), 0.0], row)[0, 0, 0]
            firsts.append(int(moved[size // 2] - row[0, 0, 0, size // 2]))
    assert firsts == [d for d in range(-reach, reach + 1) for _ in range(2)]


def test_crop_moves_both_ways_by_whole_pixels_and_zeros_come_in():
    images = random_images(2, 3, 8, 20)
    for numbers, expected in [
        ([0.0, 0.0, 0.3], (1, 3)),
        ([0.999, 0.999, 0.3], (-1, -3)),
        ([0.5, 0.5, 0.3], (0, 0)),
        ([0.0, 0.999, 0.3], (1, -3)),
        ([0.4, 0.7, 0.3], (0, -1)),
    ]:
        moved = one("crop", numbers, images)
        shifts = {shift(moved[i, c], images[i, c]) for i in range(2) for c in range(3)}
        assert shifts == {expected}


@pytest.mark.parametrize(
    ("size", "side", "starts"),
    [
        (8, 4, range(-2, 7)),
        (5, 3, range(-1, 4)),
        (7, 4, range(-2, 6)),
        (20, 10, range(-5, 16)),
    ],
)
def test_cutout_zeroes_a_square_of_half_the_size_at_every_place(size, side, starts):
    """Its centre is any pixel (and the far border, if its side is even); it is clipped there."""
    images = random_images(1, 2, size, size)
    for place, start in enumerate(starts):
        at = (place + 0.5) / len(starts)
        result = one("cutout", [at, 0.5, 0.0], images)
        other = starts[int(0.5 * len(starts))]
        expected = images.clone()
        expected[
            :, :, max(start, 0) : max(start + side, 0), max(other, 0) : max(other + side, 0)
        ] = 0
        assert torch.equal(result, expected), start
        assert torch.equal(one("cutout", [0.5, at, 0.0], images.mT).mT, expected), start


def test_flip_mirrors_every_second_time(images):
    mirrored = images[:, :, :, list(range(15, -1, -1))]
    assert torch.equal(one("flip", [0.49, 0.9, 0.9], images), mirrored)
    assert torch.equal(one("flip", [0.5, 0.1, 0.1], images), images)


def resampled_by_hand(image, matrix):
    """Each pixel [H, W] from where `matrix` sends its centre, in units of -1..1; bilinear."""
    height, width = len(image), len(image[0])

    def at(row, column):
        return image[row][column] if 0 <= row < height and 0 <= column < width else 0.0

    result = []
    for row in range(height):
        result.append([])
        for column in range(width):
            x, y = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
            x, y = (a * x + b * y for a, b in matrix)
            x, y = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2
            left, top = math.floor(x), math.floor(y)
            dx, dy = x - left, y - top
            result[-1].append(
                (1 - dy) * ((1 - dx) * at(top, left) + dx * at(top, left + 1))
                + dy * ((1 - dx) * at(top + 1, left) + dx * at(top + 1, left + 1))
            )
    return torch.tensor(result)


@pytest.mark.parametrize("numbers", [(0.0, 1.0), (1.0, 0.0), (0.3, 0.8), (0.454545, 0.454545)])
def test_scale_stretches_each_axis_by_a_factor_of_its_own(numbers):
    image = random_images(4, 5)
    x, y = (1 / 1.2 + u * (1.2 - 1 / 1.2) for u in numbers)
    expected = resampled_by_hand(image.tolist(), [(x, 0), (0, y)])
    result = one("scale", [*numbers, 0.7], image[None, None])[0, 0]
    assert torch.allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("number", [0.0, 0.2, 0.5, 1.0])
def test_rotate_turns_by_up_to_15_degrees_either_way(number):
    image = random_images(6, 6)
    angle = (number - 0.5) * 2 * 15 / 180 * math.pi
    turn = [(math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))]
    expected = resampled_by_hand(image.tolist(), turn)
    result = one("rotate", [number, 0.7, 0.7], image[None, None])[0, 0]
    assert torch.allclose(result, expected, atol=1e-4)


def test_real_and_synthetic_images_of_a_class_get_the_same(images):
    drawn = draw([generator(0, "class", c) for c in range(4)], OPERATIONS)
    real = torch.stack([images] * 4)
    synthetic = real[:, :2]
    assert torch.allclose(augment(real, drawn)[:, :2], augment(synthetic, drawn), atol=1e-6)


def test_a_group_does_not_depend_on_the_others(images):
    drawn = draw([generator(0, "class", c) for c in range(12)], OPERATIONS)
    together = augment(torch.stack([images] * 12), drawn)
    for c in range(12):
        alone = augment(images[None], draw([generator(0, "class", c)], OPERATIONS))
        assert torch.allclose(together[c], alone[0], atol=1e-6)
        own = augment(images[None], drawn.of(slice(c, c + 1)))
        assert torch.allclose(together[c], own[0], atol=1e-6)
    assert len(drawn.operation.unique()) > 2


def test_training_draws_for_every_image_and_distilling_for_the_group(images):
    same = images[:1].expand(5, -1, -1, -1)[None]
    for seed in range(12):
        shared = augment(same, draw([generator(seed)], OPERATIONS))[0]
        assert len(torch.unique(shared, dim=0)) == 1
    crops = augment(same, draw([generator(0)], ("scale",), images=5))[0]
    assert len(torch.unique(crops, dim=0)) == 5


@pytest.mark.parametrize("operations", [OPERATIONS, ("crop",), ("rotate", "colour")])
def test_every_operation_that_is_allowed_comes_equally_often_and_no_other(operations):
    drawn = draw([generator(0, k) for k in range(1200)], operations)
    counts = drawn.operation.bincount(minlength=len(OPERATIONS)) / 1200
    for name, share in zip(OPERATIONS, counts.tolist(), strict=True):
        expected = 1 / len(operations) if name in operations else 0
        assert share == pytest.approx(expected, abs=0.05 if expected else 0)
    assert 0 <= drawn.numbers.min() < 0.01 and 0.99 < drawn.numbers.max() < 1
    assert abs(drawn.numbers.mean() - 0.5) < 0.02


def test_digits_are_never_mirrored_and_photographs_are():
    drawn = {
        name: draw([generator(0, k) for k in range(300)], datasets.about(name).operations)
        for name in ("digits", "cifar10")
    }
    flip = OPERATIONS.index("flip")
    assert not (drawn["digits"].operation == flip).any()
    assert (drawn["cifar10"].operation == flip).any()


@pytest.mark.parametrize("name", registry.names("distill.datasets"))
def test_the_operations_of_every_dataset_can_be_drawn(name, images):
    operations = registry.load("distill.datasets", name).ABOUT.operations
    drawn = draw([generator(0, k) for k in range(60)], operations)
    assert set(drawn.operation.tolist()) == {OPERATIONS.index(name) for name in operations}


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_reach_the_images(name, images):
    images = images.double().requires_grad_()
    weights = random_images(*images.shape).double()
    numbers = torch.tensor([[[0.3, 0.6, 0.4]]], dtype=torch.float64)
    drawn = Draw(torch.tensor([OPERATIONS.index(name)]), numbers)
    total = (augment(images[None], drawn)[0] * weights).sum()
    (gradient,) = torch.autograd.grad(total, images)
    # Every operation is linear in the images, but for the shift of the brightness.
    zero = (augment(torch.zeros_like(images)[None], drawn)[0] * weights).sum()
    assert torch.allclose((gradient * images).sum(), total - zero)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("operations", [OPERATIONS, ("crop", "scale")])
@pytest.mark.parametrize("count", [1, 5])
def test_all_operations_at_once_are_the_same_to_the_last_bit(operations, count):
    images, weight = random_images(8, 5, 3, 12, 12), random_images(5, 3, 12, 12)
    drawn = draw([generator(k) for k in range(8)], operations, images=count)
    used = [OPERATIONS.index(name) for name in operations]
    results = []
    for function in (
        augment,
        lambda leaf, drawn: at_once(leaf, drawn.operation, drawn.numbers, used),
    ):
        leaf = images.clone().requires_grad_()
        shown = function(leaf, drawn)
        results.append((shown.detach(), torch.autograd.grad((shown * weight).sum(), leaf)[0]))
    assert all(map(torch.equal, *results))
