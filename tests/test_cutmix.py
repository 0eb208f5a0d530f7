"""CutMix against the images themselves: every pixel tells whose it is."""

import dataclasses

import pytest
import torch

from distill.datasets import digits as digits_file
from distill.runtime.seeding import generator
from distill.training.cutmix import cutmix
from distill.training.passes import cross_entropy
from distill.training.recipes import Recipe
from distill.training.train import Batches, fit, streams

CLASSES = 10


def batch(count, shape, networks=3):
    """Images [K, count, *shape] whose pixels are the number of the image, and their labels."""
    numbers = torch.arange(float(count)).view(1, count, 1, 1, 1)
    images = numbers.expand(networks, count, *shape).clone()
    return images, torch.arange(count).expand(networks, count) * 7 % CLASSES


def mix(images, labels, *, probability=1.0, seed=0):
    generators = [generator(seed, "mix", k) for k in range(len(images))]
    return cutmix(images, labels, classes=CLASSES, probability=probability, generators=generators)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 9, 15), (2, 1, 1)])
def test_a_label_weighs_as_many_pixels_as_its_image_has(shape):
    images, labels = batch(23, shape)
    shares = set()
    for seed in range(40):
        mixed, weights = mix(images, labels, seed=seed)
        assert mixed.shape == images.shape and weights.shape == (3, 23, CLASSES)
        for k in range(3):
            for image, weight in zip(mixed[k], weights[k], strict=True):
                owners = image[0].flatten().long()
                counts = torch.bincount(labels[k][owners], minlength=CLASSES)
                assert torch.allclose(weight, counts / owners.numel(), rtol=0, atol=1e-7)
                assert torch.equal(image, image[:1].expand_as(image)), "all channels alike"
            shares.add(weights[k].max(1).values.min().item())
    assert len(shares) > (0 if shape[1] == 1 else 10)


def test_all_images_of_a_mini_batch_have_one_box_and_every_image_is_a_partner_once():
    images, labels = batch(16, (1, 12, 12))
    for seed in range(30):
        mixed, _ = mix(images, labels, seed=seed)
        for k in range(3):
            foreign = mixed[k, :, 0] != images[k, :, 0]
            moved = foreign.any(0)  # where any image holds another's pixel
            rows, columns = moved.any(1).nonzero()[:, 0], moved.any(0).nonzero()[:, 0]
            if not len(rows):
                continue
            top, left = int(rows[0]), int(columns[0])
            inside = mixed[k, :, 0, top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
            partners = inside[:, 0, 0]
            assert torch.equal(inside, partners.view(-1, 1, 1).expand_as(inside)), "no rectangle"
            assert partners.sort().values.tolist() == list(range(16))


def test_boxes_have_every_size_and_are_clipped_at_every_border():
    """A share that is uniform before the clipping, so smaller after it; all pixels are reached."""
    images, labels = batch(2, (1, 16, 16), networks=1)
    reached, shares = torch.zeros(16, 16), []
    for seed in range(400):
        mixed, _ = mix(images, labels, seed=seed)
        inside = mixed[0, 0, 0] != 0
        reached += inside
        if inside.any():
            shares.append(inside.float().mean().item())
    assert reached.min() > 0 and reached[8, 8] > 2 * reached[0, 0]
    assert 150 < len(shares) < 250, "of two, a permutation leaves half as they are"
    assert min(shares) < 0.02 and max(shares) > 0.7
    assert sum(shares) / len(shares) < 0.45


def test_the_same_generators_mix_alike_and_others_do_not():
    images, labels = batch(12, (1, 8, 8))
    first, again, other = (mix(images, labels, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_networks_are_mixed_each_by_its_own_generator():
    images, labels = batch(12, (1, 8, 8))
    together, weights = mix(images, labels, probability=0.5, seed=3)
    assert not torch.equal(together[0], together[1])
    for k in range(3):
        alone, own = cutmix(
            images[k : k + 1],
            labels[k : k + 1],
            classes=CLASSES,
            probability=0.5,
            generators=[generator(3, "mix", k)],
        )
        assert torch.equal(alone[0], together[k]) and torch.equal(own[0], weights[k])


def test_so_many_mini_batches_are_mixed_and_the_others_not_at_all():
    images, labels = batch(30, (1, 8, 8), networks=1)
    whole = torch.nn.functional.one_hot(labels, CLASSES).float()
    mixed = 0
    for seed in range(200):
        shown, weights = mix(images, labels, probability=0.5, seed=seed)
        if torch.equal(shown, images):
            assert torch.equal(weights, whole)
        else:
            mixed += 1
    assert 70 < mixed < 110, "half, but for the smallest boxes"
    shown, weights = mix(images, labels, probability=0.0)
    assert torch.equal(shown, images) and torch.equal(weights, whole)


def sample(digits):
    train = digits.train
    return train.normalisation(train.images[::20]), train.labels[::20]


@pytest.mark.parametrize("operations", [(), ("crop", "scale")])
def test_a_recipe_mixes_after_the_augmentation_and_draws_on(digits, operations):
    images, labels = sample(digits)
    recipe = Recipe(batch=40, operations=operations, cutmix=1.0)
    batches = Batches(images, labels, recipe=recipe, generators=streams(0, 2))
    plain = Batches(
        images, labels, recipe=dataclasses.replace(recipe, cutmix=0.0), generators=streams(0, 2)
    )
    (x, y), (unmixed, hard) = next(iter(batches)), next(iter(plain))
    assert y.shape == (2, 40, 10) and torch.allclose(y.sum(-1), torch.ones(2, 40))
    assert hard.shape == (2, 40) and not hard.is_floating_point()
    one = torch.nn.functional.one_hot(hard, 10).float()
    own = (y * one).sum(-1)
    same = (x == unmixed).flatten(2).float().mean(-1)
    assert (same + 1e-6 >= own.amin(1, keepdim=True)).all() and (same < 1).any()
    (again, _), *_ = Batches(images, labels, recipe=recipe, generators=streams(0, 2))
    assert torch.equal(again, x)
    assert not torch.equal(next(iter(batches))[0], x)


def test_the_loss_of_probabilities_is_the_weighted_loss_of_their_labels():
    logits = torch.randn(2, 6, 10, generator=generator(0, "logits"))
    first, second = torch.arange(6).expand(2, 6), torch.arange(1, 7).expand(2, 6)
    one = torch.nn.functional.one_hot
    whole = cross_entropy(logits, one(first, 7).float())
    assert torch.allclose(whole, cross_entropy(logits, first))
    mixed = cross_entropy(logits, 0.7 * one(first, 7) + 0.3 * one(second, 7))
    expected = 0.7 * cross_entropy(logits, first) + 0.3 * cross_entropy(logits, second)
    assert torch.allclose(mixed, expected)


def test_a_network_learns_from_mixed_images_as_if_alone(digits):
    from test_train import networks, weights

    images, labels = sample(digits)
    recipe = Recipe(epochs=3, batch=16, operations=digits_file.ABOUT.operations, cutmix=0.5)
    together, alone, plain = networks(2), networks(1), networks(1)
    fit(together, images, labels, recipe=recipe, seed=5)
    fit(alone, images, labels, recipe=recipe, seed=5)
    fit(plain, images, labels, recipe=dataclasses.replace(recipe, cutmix=0.0), seed=5)
    assert torch.allclose(weights(together[0]), weights(alone[0]), atol=1e-5)
    assert not torch.allclose(weights(plain[0]), weights(alone[0]), atol=1e-3)
