import itertools

import pytest
import torch

from distill.architectures.convnet import ACTIVATIONS, NORMS, POOLINGS, Spec
from distill.networks import build, parse
from distill.runtime.mistake import Mistake


def made(name, shape=(3, 8, 8), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return build(parse(name), shape, classes=10, generator=generator)


AXES = list(itertools.product((1, 4), NORMS, ACTIVATIONS, POOLINGS))


@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "-".join(map(str, axes)))
def test_every_network_of_the_family_runs_and_its_name_leads_back(axes):
    depth, norm, activation, pooling = axes
    spec = Spec(depth, 8, norm, activation, pooling)
    assert parse(str(spec)) == spec
    images = torch.randn(2, 3, 8, 8)
    network = made(str(spec))
    maps, embedding = network.layers(images)
    assert len(maps) == depth and embedding.ndim == 2
    assert torch.equal(network.eval()(images), network.head(network.layers(images)[1]))


def test_any_image_size_and_channel_count():
    for shape in ((1, 5, 9), (3, 64, 48), (4, 1, 1)):
        assert made("convnet-w8", shape)(torch.randn(2, *shape)).shape == (2, 10)


def test_maps_come_before_pooling():
    maps, embedding = made("convnet-d3-w8", (1, 32, 32)).layers(torch.randn(2, 1, 32, 32))
    assert [m.shape[-1] for m in maps] == [32, 16, 8] and embedding.shape == (2, 8 * 4 * 4)


def test_the_published_network():
    network = made("convnet", (3, 32, 32))
    assert str(parse("convnet")) == "convnet-d3-w128-instance-relu-avg"
    assert sum(p.numel() for p in network.parameters()) == 320_010


def test_instance_norm_treats_images_alone_and_batch_norm_does_not():
    images = torch.randn(4, 3, 8, 8)
    for norm, alone in (("instance", True), ("layer", True), ("group", True), ("batch", False)):
        network = made(f"convnet-d2-w8-{norm}").train()
        same = torch.allclose(network(images)[:1], network(images[:1]), atol=1e-5)
        assert same is alone, norm


def test_initialisation_follows_its_seed_and_leaves_the_global_generator():
    before = torch.get_rng_state()
    one, same, other = made("convnet-w8", seed=1), made("convnet-w8", seed=1), made("convnet-w8")
    assert torch.equal(torch.get_rng_state(), before)
    weights = [n.convolutions[1].weight for n in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    bound = (8 * 9) ** -0.5
    assert weights[0].abs().max() <= bound and weights[0].std() > 0.5 * bound


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("convent", "did you mean convnet"),
        ("convnet-instanc", "did you mean instance"),
        ("convnet-w0", "w<width>"),
        ("convnet-w8-w16", "width twice"),
        ("convnet-w6-group", "divisible by 4"),
    ],
)
def test_a_wrong_name_is_explained(name, says):
    with pytest.raises(Mistake, match=says):
        parse(name)
