import dataclasses

import pytest
import torch

from distill.architectures.convnet import NORMS, Spec
from distill.networks import build, parse
from distill.runtime.seeding import generator
from distill.training.passes import cross_entropy
from distill.training.recipes import Recipe
from distill.training.stack import Grouped, Stack, stack
from distill.training.train import predictions


def networks(count=3, **changes):
    spec = dataclasses.replace(Spec(depth=2, width=8), **changes)
    return [build(spec, (3, 8, 8), classes=10, generator=generator(0, k)) for k in range(count)]


def steps(model, count=3):
    """Train on random images; the last loss."""
    stream = generator(1)
    optimiser = Recipe().optimiser(model.train())
    for _ in range(count):
        images = torch.randn(3, 7, 3, 8, 8, generator=stream)
        loss = cross_entropy(model(images), torch.arange(21).view(3, 7) % 10)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("activation", "pooling"), [("relu", "avg"), ("swish", "none")])
def test_grouped_networks_learn_what_each_learns(norm, activation, pooling):
    kind = {"norm": norm, "activation": activation, "pooling": pooling}
    apart, together = networks(**kind), networks(**kind)
    loss = steps(Grouped(together))
    assert loss == pytest.approx(steps(Stack(apart)), rel=1e-4)
    fresh = networks(**kind)
    for own, other, start in zip(together, apart, fresh, strict=True):
        assert not torch.equal(own.head.weight, start.head.weight)
        pairs = zip(own.state_dict().items(), other.state_dict().values(), strict=True)
        for (name, a), b in pairs:
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-4), name
    images = torch.randn(20, 3, 8, 8, generator=generator(2))
    assert torch.equal(predictions(together, images), predictions(apart, images))


def test_small_images_are_grouped_and_large_ones_or_unequal_networks_are_not():
    assert isinstance(stack(networks(), (3, 8, 8)), Grouped)
    assert isinstance(stack(networks(), (3, 32, 32)), Stack)
    assert isinstance(stack(networks(1), (3, 8, 8)), Stack)
    assert isinstance(stack(networks(2) + networks(1, width=4), (3, 8, 8)), Stack)


def test_a_stack_has_each_parameter_once():
    for model in (Grouped(networks()), Stack(networks())):
        counted = sum(p.numel() for p in model.parameters())
        assert counted == 3 * sum(p.numel() for p in networks(1)[0].parameters())


@pytest.mark.parametrize("names", [["resnet10-batch"] * 2, ["vit-d1-w16", "convnet-d1-w8"]])
def test_networks_of_any_families_stack_and_answer_as_each_alone(names):
    members = [
        build(parse(name), (3, 8, 8), classes=10, generator=generator(0, k))
        for k, name in enumerate(names)
    ]
    images = torch.randn(2, 4, 3, 8, 8, generator=generator(1))
    together = stack(members, (3, 8, 8))
    assert isinstance(together, Stack)
    alone = torch.stack([net(x) for net, x in zip(members, images, strict=True)])
    assert torch.equal(together(images), alone)
    assert not torch.allclose(alone[0], alone[1])
