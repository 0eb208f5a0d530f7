import itertools

import pytest
import torch

from distill.architectures.convnet import ACTIVATIONS, NORMS, POOLINGS, Spec
from distill.networks import build, drafted, parse
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator


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
        ("convnet-w²", "unknown part in network 'convnet-w²' 'w²'; accepted: d<depth>, w<width>"),
        ("convnet-w１２", "unknown part"),
        ("convnet-w08", "unknown part"),
        ("convnet-w99999999", "a width of 99999999; choose at most 4096"),
        ("convnet-d65", "a depth of 65; choose at most 64"),
        ("convnet-w" + "9" * 5000, "unknown part"),
        ("vit-h1000", "heads of 1000; choose at most 64"),
    ],
)
def test_a_wrong_name_is_explained(name, says):
    with pytest.raises(Mistake, match=says) as refusal:
        parse(name)
    assert len(str(refusal.value)) < 300


def test_a_network_that_fits_no_machine_is_refused_before_it_is_built():
    wide = parse("convnet-d2-w4096-nopool")
    with pytest.raises(Mistake, match="has [0-9,]+ weights for images of 64x64 pixels"):
        build(wide, (3, 64, 64), classes=10250, generator=generator(0))
    assert drafted(wide, (3, 8, 8), classes=10).head.weight.is_meta
