import pytest
import torch

from benchmarks import reference
from distill.networks import build, parse
from distill.runtime.seeding import generator
from distill.train import Recipe, accuracy, fit, predictions


def networks(count, shape=(1, 8, 8)):
    spec = parse("convnet-d2-w8")
    return [build(spec, shape, classes=10, generator=generator(0, k)) for k in range(count)]


def sample(digits, count=60):
    train = digits.train
    return train.normalisation(train.images[:count]), train.labels[:count]


def test_the_rate_falls_once_at_half():
    recipe = Recipe(epochs=10)
    assert [recipe.rate_at(e) for e in (0, 4)] == [0.01, 0.01]
    assert [round(recipe.rate_at(e), 9) for e in (5, 9)] == [0.001, 0.001]


def test_the_defaults_are_the_published_recipe():
    assert Recipe() == Recipe(1000, 0.01, 0.9, 5e-4, 256, 0.1, True)


def test_each_network_learns_as_if_alone(digits):
    images, labels = sample(digits)
    recipe = Recipe(epochs=3, batch=16)
    together = networks(3)
    fit(together, images, labels, recipe=recipe, seed=5)
    alone = networks(1)
    fit(alone, images, labels, recipe=recipe, seed=5)
    for a, b in zip(together[0].parameters(), alone[0].parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert not torch.allclose(together[0].head.weight, together[1].head.weight)


def test_it_follows_its_seed_and_leaves_the_global_generator(digits):
    images, labels = sample(digits)
    found = []
    before = torch.get_rng_state()
    for seed in (1, 1, 2):
        trained = networks(1)
        fit(trained, images, labels, recipe=Recipe(epochs=2), seed=seed)
        found.append(trained[0].head.weight.detach())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_it_learns(digits):
    images, labels = digits.train.normalisation(digits.train.images), digits.train.labels
    trained = networks(2)
    fit(trained, images, labels, recipe=Recipe(epochs=8, batch=32), seed=0)
    test = digits.test.normalisation(digits.test.images)
    assert accuracy(trained, test, digits.test.labels).min() > 0.85


def test_accuracy_counts_right_answers_in_chunks(digits):
    images, labels = sample(digits, 33)
    nets = networks(2)
    right = (predictions(nets, images, chunk=7) == labels).float().mean(1)
    assert torch.equal(accuracy(nets, images, labels), right)
    assert torch.equal(nets[1].eval()(images).argmax(1), predictions(nets, images)[1])


@pytest.mark.parametrize("count", [1, 3])
def test_networks_come_out_as_from_the_plain_loop(digits, count):
    images, labels = sample(digits)
    ours, plain = networks(count), networks(count)
    recipe = Recipe(epochs=4, batch=25)
    fit(ours, images, labels, recipe=recipe, seed=0)
    for k, network in enumerate(plain):
        reference.train(network, images, labels, recipe=recipe, k=k)
        for a, b in zip(ours[k].parameters(), network.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-5)
