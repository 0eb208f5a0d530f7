import dataclasses

import pytest
import torch

from distill import registry
from distill.augment import augment, draw
from distill.methods import datadam
from distill.mistake import Mistake
from distill.networks import build, parse
from distill.seeding import generator


@pytest.mark.parametrize("method", ["dm", "datadam"])
@pytest.mark.parametrize("networks", [0, 3])
def test_a_class_distilled_alone_is_the_class_distilled_with_all(digits, distil, method, networks):
    every = distil(method, digits.train, 2, networks=networks)
    alone = distil(method, digits.train.only([3]), 2, networks=networks)
    assert alone.labels.tolist() == [3, 3]
    assert torch.allclose(every.images[every.labels == 3], alone.images, atol=1e-4)


def test_batch_norm_couples_the_classes_and_says_so(digits, distil):
    network = "convnet-d2-w8-batch"
    config = datadam.Config(network=network)
    assert config.couples_classes and not datadam.Config().couples_classes
    every = distil("datadam", digits.train, 2, network=network)
    alone = distil("datadam", digits.train.only([3]), 2, network=network)
    assert not torch.allclose(every.images[every.labels == 3], alone.images, atol=1e-2)


def plain_loss(images, real, config, seed, k):
    """The paper's loss of every class for one network, written as the formulas have it.

    One full-batch pass with gradients, one class after another; images [G, ipc, C, H, W].
    """
    network = build(
        parse(config.network), real.shape, classes=10, generator=generator(seed, "network", k)
    )
    total = 0.0
    for c, label in enumerate(real.present):
        stream = generator(seed, "target", k, label)
        drawn = draw([stream])
        pixels = real.of_class(label)
        chosen = torch.randperm(len(pixels), generator=stream)[: config.real_batch]
        batches = [real.normalisation(pixels[chosen]), images[c]]
        (real_maps, real_last), (maps, last) = (
            network.layers(augment(b[None], drawn)[0]) for b in batches
        )
        sam = 0.0
        for a, b in zip(real_maps[:-1], maps[:-1], strict=True):
            means = []
            for f in (a, b):
                q = f.abs().pow(4).sum(1).flatten(1)
                means.append((q / q.norm(dim=1, keepdim=True)).mean(0))
            sam = sam + (means[0] - means[1]).square().sum()
        mmd = (real_last.mean(0) - last.mean(0)).square().sum()
        total = total + config.weight * (sam + config.balance * mmd)
    return total


@pytest.mark.parametrize("networks", [0, 2])
def test_the_loop_takes_the_steps_that_the_paper_describes(digits, distil, networks):
    real = digits.train.only([1, 4, 7])
    made = distil(
        "datadam", real, 2, networks=networks, iterations=3, network="convnet-d3-w8", real_batch=40
    )
    config = datadam.Config(**made.made["config"])
    start = [
        real.normalisation(
            real.of_class(c)[
                torch.randperm(len(real.of_class(c)), generator=generator(0, "start", c))[:2]
            ]
        )
        for c in real.present
    ]
    images = torch.stack(start).requires_grad_()
    velocity = torch.zeros_like(images)
    for step in range(3):
        k = step % networks if networks else step
        (gradient,) = torch.autograd.grad(plain_loss(images, real, config, 0, k), images)
        velocity = 0.5 * velocity + gradient
        images = (images - 1.0 * velocity).detach().requires_grad_()
    expected = real.normalisation.inverse(images.detach().flatten(0, 1))
    assert torch.allclose(made.images, expected, atol=1e-3)


def test_a_large_set_is_stepped_in_groups_and_comes_out_the_same(digits, distil, monkeypatch):
    from distill import matching

    whole = distil("datadam", digits.train, 2)
    monkeypatch.setattr(matching, "BATCH", 6)
    assert torch.allclose(whole.images, distil("datadam", digits.train, 2).images, atol=1e-4)


def test_the_loss_falls(digits, distil):
    real = digits.train
    settings = {"networks": 1, "start": "noise", "network": "convnet-d2-w8"}
    made = [distil("datadam", real, 1, iterations=n, **settings) for n in (1, 40)]
    config = datadam.Config(**made[0].made["config"])
    losses = [
        plain_loss(real.normalisation(m.images).view(10, 1, 1, 8, 8), real, config, 0, 0).item()
        for m in made
    ]
    assert losses[1] < 0.5 * losses[0]


def test_same_seed_same_images_other_seed_other_images(digits, distil):
    one, same, other = (distil("datadam", digits.train, 1, seed=s) for s in (0, 0, 1))
    assert torch.equal(one.images, same.images) and not torch.equal(one.images, other.images)


def test_images_start_real_or_as_noise(digits, distil):
    real = digits.train.of_class(0).float() / 255
    start = distil("dm", digits.train, 1, iterations=0).images[0]
    assert any(torch.allclose(start, image, atol=1e-5) for image in real)
    noise = distil("dm", digits.train, 1, iterations=0, start="noise").images[0]
    assert not any(torch.allclose(noise, image, atol=1e-2) for image in real)
    with pytest.raises(Mistake, match="unknown start 'reel'; accepted: real, noise"):
        distil("dm", digits.train, 1, start="reel")


def test_dm_is_datadam_without_attention(digits):
    dm = registry.load("methods", "dm")
    config = datadam.preset("digits", 1, "laptop")
    network = build(parse("convnet-d3-w8"), (1, 8, 8), classes=10, generator=generator(0))
    images = torch.rand(4, 1, 8, 8)
    *attention, last = datadam.statistic(network, images, config=config)
    (only,) = dm.embedding(network, images)
    assert [a.name for a in attention] == ["attention of layer 1", "attention of layer 2"]
    assert torch.equal(only.rows, last.rows) and only.weight == last.weight
    shared = {f.name for f in dataclasses.fields(dm.Config)}
    both = [dataclasses.asdict(m.preset("digits", 1, "laptop")) for m in (dm, datadam)]
    assert all(both[0][name] == both[1][name] for name in shared)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"networks": -1}, "--method.networks -1: give 0 or more"),
        ({"real_batch": 0}, "--method.real-batch 0: give 1 or more"),
        ({"rate": 1e30}, "the loss is .* at step .*; give a lower --method.rate"),
    ],
)
def test_a_number_that_cannot_be_is_refused(digits, distil, changes, says):
    with pytest.raises(Mistake, match=says):
        distil("datadam", digits.train, 1, **changes)
