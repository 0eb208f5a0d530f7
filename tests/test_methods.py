"""What every file in distill/methods must keep."""

import dataclasses

import pytest
import torch

from distill import datasets, plan, presets
from distill.images import ImageSet
from distill.methods import datadam, dm, herding, kcenter
from distill.networks import build_many, parse
from distill.runtime import registry
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.settings import Settings

from conftest import SMALL

METHODS = registry.names("distill.methods")
DATASETS = registry.names("distill.datasets")


def about(name):
    known = registry.load("distill.datasets", name).ABOUT
    return known if known.shape else datasets.about(name, size=64)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_file_holds_what_the_contract_says(name):
    module = registry.load("distill.methods", name)
    assert isinstance(module.VERSION, int) and module.VERSION >= 1 and module.__doc__
    for preset in presets.USUAL:
        for dataset in DATASETS:
            config = module.preset(about(dataset), 10, preset)
            assert type(config) is module.Config
            assert isinstance(config, Settings) and isinstance(config.couples_classes, bool)
            assert config.formation in (1, 2)
            assert dataclasses.replace(config) == config
            with pytest.raises(dataclasses.FrozenInstanceError):
                config.anything = 1
    with pytest.raises(Mistake, match="unknown preset 'labtop'; did you mean laptop. accepted: "):
        module.preset(about("cifar10"), 10, "labtop")


@pytest.mark.parametrize("method", [dm, datadam, herding, kcenter])
@pytest.mark.parametrize(("size", "depth"), [(8, 3), (32, 3), (64, 4), (128, 5)])
@pytest.mark.parametrize("preset", presets.USUAL)
def test_presets_take_the_network_that_the_field_uses_at_a_size(method, size, depth, preset):
    facts = dataclasses.replace(about("cifar10"), shape=(3, size, size))
    spec = parse(method.preset(facts, 1, preset).network)
    assert spec.depth == depth and spec.width == {"laptop": 32, "paper": 128}[preset]
    assert (spec.norm, spec.activation, spec.pooling) == ("instance", "relu", "avg")


def test_the_papers_hyper_parameters():
    """DataDAM's table of hyper-parameters, and DM's released code."""
    large = dataclasses.replace(about("cifar10"), shape=(3, 64, 64))
    for facts, balance in ((about("cifar10"), 0.01), (large, 0.02)):
        for ipc, rate in ((1, 1.0), (10, 1.0), (50, 1.0), (51, 10.0)):
            config = datadam.preset(facts, ipc, "paper")
            assert (config.rate, config.balance, config.power) == (rate, balance, 4)
            assert (config.iterations, config.networks) == (8000, 0)
    for ipc, rate in ((1, 1.0), (50, 1.0), (100, 10.0)):
        config = dm.preset(about("cifar10"), ipc, "paper")
        assert (config.rate, config.iterations, config.real_batch) == (rate, 20000, 256)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("preset", presets.USUAL)
def test_every_preset_runs_for_a_step(name, preset, digits):
    """Also `paper`, whose networks are drawn anew at each step."""
    module = registry.load("distill.methods", name)
    config = module.preset(digits.train.about, 1, preset)
    few = {"iterations": 1, "networks": 2, "passes": 1}
    settings = {name: value for name, value in few.items() if getattr(config, name, 0)}
    config = dataclasses.replace(config, **settings)
    few, compute = digits.train.only([0, 1]), Compute(compile="never")  # it would take longest
    small = plan.distill(plan.Plan(name, config, 1), few, compute=compute)
    assert small.images.shape == (2, 1, 8, 8) and small.labels.tolist() == [0, 1]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_makes_ipc_images_of_every_class_present(name, digits):
    module = registry.load("distill.methods", name)
    config = dataclasses.replace(
        module.preset(digits.train.about, 3, "laptop"), **SMALL.get(name, {})
    )
    images = module.distill(
        digits.train.only([2, 5]), 3, config=config, seed=0, compute=CPU, progress=Progress()
    )
    assert images.shape == (2, 3, 1, 8, 8) and images.dtype == torch.float32
    assert images.isfinite().all() and images.device.type == "cpu"


@pytest.mark.parametrize("name", METHODS)
def test_a_set_has_the_classes_that_were_given(name, digits, make):
    small = make(name, digits.train.only([2, 5]), 3)
    assert small.labels.tolist() == [2] * 3 + [5] * 3
    assert small.classes == digits.train.classes and small.made.method == name


@pytest.mark.parametrize("name", METHODS)
def test_a_class_does_not_depend_on_the_others_where_its_method_says_so(name, digits, make):
    if registry.load("distill.methods", name).Config(**SMALL[name]).couples_classes:
        pytest.skip("it says otherwise")
    pair, alone = (make(name, digits.train.only(c), 2) for c in ([2, 5], [5]))
    assert torch.allclose(pair.images[2:], alone.images, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_the_global_generator_is_left_alone(name, digits, make):
    before = torch.get_rng_state()
    first = make(name, digits.train.only([2]), 1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(make(name, digits.train.only([2]), 1).images, first.images)


@pytest.mark.parametrize("name", METHODS)
def test_ipc_must_fit_the_classes(name, digits, make):
    with pytest.raises(Mistake, match="--ipc takes 1 or more"):
        make(name, digits.train, 0)
    with pytest.raises(Mistake, match="--ipc 500 is more than the 116 images of class '8'"):
        make(name, digits.train, 500)


@pytest.mark.parametrize("name", ["random", "herding", "kcenter", "forgetting"])
def test_a_selection_holds_different_real_images_and_is_a_prefix_of_a_larger_one(
    name, digits, make
):
    small, large = make(name, digits.train, 3), make(name, digits.train, 7)
    for label in range(10):
        parts = [s.images[s.labels == label] for s in (small, large)]
        assert torch.equal(parts[0], parts[1][:3])
        assert len(torch.unique(parts[1].flatten(1), dim=0)) == 7
        real = digits.train.of_class(label).float() / 255
        assert all(any(torch.equal(image, own) for own in real) for image in parts[1])


@pytest.mark.parametrize("name", METHODS)
def test_a_set_follows_its_seed(name, digits, make):
    few = digits.train.only([0, 6])
    one, same, other = (make(name, few, 2, seed=s) for s in (0, 0, 1))
    assert torch.equal(one.images, same.images) and not torch.equal(one.images, other.images)


def icarl(features, count):
    """iCaRL's algorithm 4: each image brings the mean of the chosen nearest to the mean of all."""
    mean, chosen = features.mean(0), []
    for k in range(1, count + 1):
        distances = [
            float("inf")
            if i in chosen
            else float((mean - (features[chosen].sum(0) + features[i]) / k).norm())
            for i in range(len(features))
        ]
        chosen.append(distances.index(min(distances)))
    return chosen


def k_center(features, count):
    """The image nearest to the mean, then each time the one farthest from its nearest chosen."""
    to_mean = [float((one - features.mean(0)).norm()) for one in features]
    chosen = [to_mean.index(min(to_mean))]
    while len(chosen) < count:
        away = [min(float((one - features[c]).norm()) for c in chosen) for one in features]
        chosen.append(away.index(max(away)))
    return chosen


@pytest.mark.parametrize(("name", "by_hand"), [("herding", icarl), ("kcenter", k_center)])
def test_a_selection_is_the_published_greedy_order(digits, make, name, by_hand):
    """On embeddings of length 1, of two random networks side by side."""
    real = digits.train.only([3])
    streams = [generator(0, "network", k) for k in range(2)]
    networks = build_many(parse("convnet-d2-w8"), real.shape, classes=10, generators=streams)
    with torch.no_grad():
        x = real.normalisation(real.images)
        parts = [net.layers(x)[1] for net in networks]
    features = torch.cat([part / part.norm(dim=1, keepdim=True) for part in parts], 1) / 2**0.5
    chosen = by_hand(features.double(), 10)
    small = make(name, real, 10, network="convnet-d2-w8", networks=2)
    assert torch.equal(small.images, real.images[chosen].float() / 255)


@pytest.mark.parametrize("method", [herding, kcenter])
def test_a_selection_takes_no_image_twice_even_where_all_are_alike(method):
    assert sorted(method.order(torch.ones(5, 3), 5)) == [0, 1, 2, 3, 4]


def test_k_centers_take_the_one_image_that_is_unlike_all_others_second():
    features = torch.nn.functional.normalize(torch.randn(30, 4, generator=generator(0)) + 5, dim=1)
    features[17] = -features[17]
    assert kcenter.order(features, 2)[1] == 17


def test_herding_follows_the_mean_better_than_chance():
    """On a class of two clusters it takes from both in turn, whatever the network."""
    pixels = torch.zeros(40, 1, 8, 8, dtype=torch.uint8)
    pixels[:20, :, :, :4], pixels[20:, :, :4] = 200, 200
    pixels += torch.randint(0, 40, pixels.shape, generator=generator(0), dtype=torch.uint8)
    real = ImageSet.sorted(about("digits"), pixels, torch.zeros(40))
    config = herding.Config(network="convnet-d2-w8")
    small = plan.distill(plan.Plan("herding", config, 4), real)
    left = [bool(image[0, 6, 1] > 0.5) for image in small.images]
    assert left.count(True) == 2
