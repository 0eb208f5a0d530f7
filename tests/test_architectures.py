"""What every family of networks must offer, asked of every file in the folder."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn

import distill.architectures
from distill.architectures import _names, convnet
from distill.networks import build, couples_images, initialise, parse
from distill.runtime import registry
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator

FAMILIES = registry.names("distill.architectures")
VARIANTS = ["convnet-w8-batch", "vgg11-batch", "vgg11-layer", "vgg11-nonorm", "resnet10-batch"]
VARIANTS += ["resnet10-group", "vit-d2-w24-h3"]
SHAPES = {"convnet": [(1, 8, 8), (3, 32, 32), (3, 64, 64)]}
SHAPES |= {"vit": [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 9, 20)]}
"""The larger families come at one size, digits; VGG and ResNet at another below."""


def default(family):
    return registry.load("distill.architectures", family).Spec()


def made(spec, shape=(3, 8, 8), seed=0):
    return build(spec, shape, classes=10, generator=generator(seed, "network"))


def images(*shape, count=2):
    return torch.randn(count, *shape, generator=generator(0, "images"))


def state(network):
    return dict(network.state_dict(keep_vars=False))


def check(network, shape):
    """Maps and logits of one network; in double precision, so that rounding tells nothing apart."""
    network.double().train()
    x = images(*shape).double()
    maps, embedding = network.layers(x)
    assert maps and all(m.ndim == 4 and len(m) == 2 and m.isfinite().all() for m in maps)
    assert embedding.shape == (2, network.head.in_features)
    logits = network(x)
    assert torch.equal(logits, network.head(embedding)) and logits.shape == (2, 10)
    assert (logits[0] - logits[1]).abs().max() > 1e-8, "it says the same of all images"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_runs_at_its_sizes(family):
    for shape in SHAPES.get(family, [(1, 8, 8)]):
        spec = default(family)
        check(made(spec, shape), shape)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_runs(name):
    check(made(parse(name)), (3, 8, 8))


def test_the_larger_families_run_at_the_published_size_and_count_as_published():
    counts = {"vgg11-batch": 9_231_114, "resnet18-batch": 11_173_962, "alexnet": 1_872_202}
    counts["alexnet-batch"] = counts["alexnet"] + 2 * (128 + 192 + 256 + 192 + 192)
    for name, parameters in counts.items():
        network = made(parse(name), (3, 32, 32))
        check(network, (3, 32, 32))
        assert sum(p.numel() for p in network.parameters()) == parameters, name


def test_vgg_ends_in_one_pixel_and_a_larger_image_in_more():
    with torch.device("meta"):
        for size, pixels in ((8, 1), (16, 1), (32, 1), (64, 4)):
            network = registry.load("distill.architectures", "vgg").Network(
                parse("vgg11"), (3, size, size), 10
            )
            assert network.head.in_features == 512 * pixels


@pytest.mark.parametrize("name", [*FAMILIES, *VARIANTS])
def test_a_name_leads_back_to_its_specification(name):
    spec = default(name) if name in FAMILIES else parse(name)
    assert parse(str(spec)) == spec and type(parse(str(spec))) is type(spec)
    assert hash(spec) == hash(parse(str(spec)))
    assert str(spec).startswith(name.split("-")[0])
    assert isinstance(spec.width, int) and couples_images(spec) is (spec.norm == "batch")


@pytest.mark.parametrize("name", [*FAMILIES, *VARIANTS])
def test_only_batch_norm_couples_the_images(name):
    spec = default(name) if name in FAMILIES else parse(name)
    network = made(spec).train()
    pair = images(3, 8, 8, count=4)
    alone = network(pair[:2])
    assert torch.allclose(network(pair)[:2], alone, atol=1e-4) is not couples_images(spec)


@pytest.mark.parametrize("name", [*FAMILIES, *VARIANTS])
def test_initialisation_fills_everything_from_its_generator(name):
    spec = default(name) if name in FAMILIES else parse(name)
    network = made(spec)
    before = {key: tensor.clone() for key, tensor in state(network).items()}
    for tensor in state(network).values():
        tensor.fill_(float("nan") if tensor.is_floating_point() else 7)
    clock = torch.get_rng_state()
    initialise(network, generator=generator(0, "network"))
    for key, tensor in state(network).items():
        assert torch.equal(tensor, before[key]), key
        assert key.endswith("num_batches_tracked") is (not tensor.is_floating_point())
    initialise(network, generator=generator(1, "network"))
    assert torch.equal(torch.get_rng_state(), clock)
    for key, parameter in network.named_parameters():
        drawn = bool(parameter.min() < parameter.max())
        assert drawn is not torch.equal(parameter, before[key]), key


@pytest.mark.parametrize("family", FAMILIES)
def test_matching_reaches_every_image_and_can_be_differentiated_twice(family):
    network = made(default(family))
    x = images(3, 8, 8).requires_grad_()
    maps, embedding = network.layers(x)
    loss = sum(m.square().mean() for m in maps) + embedding.square().mean()
    (gradient,) = torch.autograd.grad(loss, x)
    assert (gradient.flatten(1).abs().sum(1) > 0).all() and gradient.isfinite().all()
    weights = list(network.parameters())
    loss = torch.nn.functional.cross_entropy(network(x), torch.tensor([1, 2]))
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    (second,) = torch.autograd.grad(sum(g.square().sum() for g in gradients), x)
    assert (second.flatten(1).abs().sum(1) > 0).all() and second.isfinite().all()


@pytest.mark.parametrize(
    ("name", "channels", "sizes"),
    [
        ("alexnet", [128, 192, 192], [16, 8, 4]),
        ("vgg11", [64, 128, 256, 512, 512], [16, 8, 4, 2, 2]),
        ("resnet10", [64, 128, 256, 512], [16, 8, 4, 2]),
        ("resnet18", [64, 64, 128, 128, 256, 256, 512, 512], [16, 16, 8, 8, 4, 4, 2, 2]),
    ],
)
def test_maps_are_activations_one_a_block_before_its_pooling(name, channels, sizes):
    maps, _ = made(parse(name), (3, 16, 16)).layers(images(3, 16, 16))
    assert [m.shape[1] for m in maps] == channels and [m.shape[-1] for m in maps] == sizes
    for m in maps:
        zeros = (m == 0).double().mean()
        assert m.min() >= 0 and 0.05 < zeros < 0.95


def test_a_residual_block_adds_its_input():
    spec = parse("resnet18-nonorm")
    network = made(spec)
    block = network.blocks[1]
    with torch.no_grad():
        block.second.weight.zero_()
        maps, _ = network.layers(images(3, 8, 8))
    assert torch.equal(maps[1], maps[0]) and maps[0].max() > 0


def test_a_transformers_maps_show_the_patches_where_they_lie():
    network = made(parse("vit-d1-w16"), (3, 32, 32))
    x = images(3, 32, 32, count=1)
    changed = x.clone()
    changed[..., 8:12, 20:24] += 1
    with torch.no_grad():
        network.encoder.layers[0].self_attention.out_proj.weight.zero_()  # each patch by itself
        (map_,), (other,) = network.layers(x)[0], network.layers(changed)[0]
    difference = (map_ - other).abs().amax((0, 1))
    assert difference.shape == (8, 8)
    assert difference.nonzero().tolist() == [[2, 5]]
    assert torch.equal(network.layers(x)[1], network.layers(-x)[1])  # the class token, by itself


def test_attention_starts_as_torch_starts_it():
    attention = made(parse("vit-d1-w64")).encoder.layers[0].self_attention
    joint, outward = attention.in_proj_weight, attention.out_proj.weight
    assert joint.abs().max().item() == pytest.approx((6 / (64 + 3 * 64)) ** 0.5, rel=0.01)
    assert outward.abs().max().item() == pytest.approx(64**-0.5, rel=0.01)
    assert not attention.in_proj_bias.any() and not attention.out_proj.bias.any()


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(3, 3, 3, bias=False)
        self.scale = nn.Parameter(torch.ones(3))
        self.register_buffer("table", torch.ones(3), persistent=False)


class Filled(Gate):
    def initialise(self, generator):
        self.scale.normal_(generator=generator)
        self.table.fill_(2)


def test_a_bare_parameter_is_filled_by_its_module_or_named():
    network = nn.Sequential(nn.Linear(2, 2), Gate())
    with pytest.raises(TypeError, match=r"cannot initialise 1\.scale, 1\.table;"):
        initialise(network, generator=generator(0))
    filled = nn.Sequential(nn.Linear(2, 2), Filled())
    initialise(filled, generator=generator(0))
    assert filled[1].scale.std() > 0 and filled[1].table.tolist() == [2, 2, 2]


@pytest.mark.parametrize("layer", [nn.Embedding(3, 2), nn.GRU(2, 2), nn.PReLU()])
def test_a_layer_that_would_draw_from_the_global_generator_or_stay_as_it_was_is_refused(layer):
    with pytest.raises(TypeError, match="weight"):
        initialise(nn.Sequential(layer), generator=generator(0))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnett18", "unknown network 'resnett18'; did you mean resnet18 or resnet10[?] "),
        ("resnet", "mean resnet18 or resnet10.*: alexnet, convnet, resnet10, resnet18, vgg11, vit"),
        ("vgg12", "unknown network 'vgg12'; did you mean vgg11[?] accepted: .*resnet18, vgg11, "),
        ("ConvNet-w8", "did you mean convnet"),
        ("", "unknown network ''; accepted: alexnet, "),
        ("_norms", "unknown network '_norms'"),
        ("resnet50", "did you mean resnet10 or resnet18[?] accepted: alexnet, "),
        ("vgg-batch", "unknown network 'vgg'; did you mean vgg11"),
        ("vgg11-bach", "did you mean batch"),
        ("resnet18-batch-instance", "norm twice"),
        ("alexnet-w8", "unknown part in network 'alexnet-w8'"),
        ("alexnet-batch-instance", "norm twice"),
        ("vit-w50", "divisible by 4"),
        ("vit-p4", "accepted: d<depth>, w<width>, h<heads>"),
    ],
)
def test_a_wrong_name_is_explained(name, says):
    with pytest.raises(Mistake, match=says):
        parse(name)


def test_a_family_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "mlp.py").write_text(
        """
import dataclasses
from torch import nn
from distill.architectures._names import chosen

@dataclasses.dataclass(frozen=True)
class Spec:
    width: int = 5
    norm = "none"
    __str__ = lambda self: f"mlp-w{self.width}"

def parse(name):
    return Spec(**chosen(name, ["mlp"], numbers={"w": "width"}))

class Network(nn.Module):
    def __init__(self, spec, shape, classes):
        super().__init__()
        self.spec = spec
        self.body = nn.Conv2d(shape[0], spec.width, shape[1:], bias=False)
        self.head = nn.Linear(spec.width, classes)

    def layers(self, images):
        maps = self.body(images).relu()
        return [maps], maps.flatten(1)

    def forward(self, images):
        return self.head(self.layers(images)[1])
"""
    )
    path = [*distill.architectures.__path__, str(tmp_path)]
    monkeypatch.setattr(distill.architectures, "__path__", path)
    spec = parse("mlp-w3")
    assert "mlp" in registry.names("distill.architectures") and str(spec) == "mlp-w3"
    check(made(spec), (3, 8, 8))


def test_the_published_convnets_initialisation_is_worked_out_independently():
    spec = convnet.Spec(2, 4, "batch", "relu", "avg")
    stream, expected = generator(3), []
    for weight, fan_in in (((4, 3, 3, 3), 27), ((4, 4, 3, 3), 36), ((10, 16), 16)):
        for shape in (weight, weight[:1]):
            drawn = torch.rand(shape, generator=stream, dtype=torch.float32)
            expected.append((2 * drawn.double() - 1) / fan_in**0.5)
    network = build(spec, (3, 8, 8), classes=10, generator=generator(3))
    layers = [*network.convolutions, network.head]
    actual = itertools.chain.from_iterable((layer.weight, layer.bias) for layer in layers)
    for one, other in zip(actual, expected, strict=True):
        assert torch.allclose(one.double(), other, rtol=0, atol=1e-7)
    assert dataclasses.asdict(network.spec)["depth"] == 2


def test_a_number_of_a_familys_own_has_a_limit_too():
    numbers = {"k": "kernel"}
    assert _names.chosen("mlp-k5", ["mlp"], numbers=numbers) == {"kernel": 5}
    with pytest.raises(Mistake, match="has a kernel of 5000; choose at most 4096"):
        _names.chosen("mlp-k5000", ["mlp"], numbers=numbers)
