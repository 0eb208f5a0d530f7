"""The engine of statistic matching, against the published step in its plain form."""

import dataclasses
import functools
import io

import pytest
import torch

from benchmarks.cost import reference
from distill import drawing
from distill.augment import OPERATIONS
from distill.images import About, Data, ImageSet, Normalisation, Whitening
from distill.methods import datadam, dm
from distill.networks import build, parse, size
from distill.objectives import matching
from distill.objectives.matching import Matching
from distill.runtime import registry
from distill.runtime.compute import CPU, Compute
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.training import compiled, pieces
from distill.whitening import whitened


def statistic(config):
    """Of the method whose configuration it is."""
    if isinstance(config, datadam.Config):
        return functools.partial(datadam.statistic, config=config)
    return dm.embedding


def objective(real, config, dtype=torch.float32):
    return matching_of(statistic(config), real, config, dtype=dtype)


def matching_of(statistic, real, config, ipc=2, **settings):
    return Matching(statistic, real, ipc, config=config, seed=0, compute=CPU, **settings)


@pytest.fixture(scope="session")
def with_flips(digits):
    """Digits that allow all six operations, as the published code takes them for photographs."""
    about = dataclasses.replace(digits.train.about, operations=OPERATIONS)
    return dataclasses.replace(digits.train, about=about)


GOLDEN = {
    "dm": [0.0225066, 0.0299149, 0.0418245, 0.0268354],
    "datadam": [346.263, 766.743, 736.328, 813.920],
}
"""Losses of the first steps, from the engine before it was made fast, with all six operations."""


@pytest.mark.parametrize("method", GOLDEN)
def test_the_losses_of_the_first_steps_are_what_they_ever_were(with_flips, make, method):
    settings = {"network": "convnet-d3-w8", "networks": 0}
    losses = []
    for steps in range(4):
        small = make(method, with_flips, 2, iterations=steps, **settings)
        config = registry.load("distill.methods", method).Config(**small.made.config)
        images = with_flips.normalisation(small.images).view(10, 2, 1, 8, 8)
        losses.append(objective(with_flips, config).step(images, steps).loss)
    assert losses == pytest.approx(GOLDEN[method], rel=1e-4)


@pytest.mark.parametrize("settings", [
    {"networks": 0},
    {"networks": 3},
    {"formation": 2, "ipc": 1},
    {"averaged": 0.5, "schedule": "linear", "ipc": 5},
    {"start": "herding", "iterations": 1},
    {"start": "kcenter", "iterations": 1, "formation": 2},
    {"network": "convnet-d2-w16-layer-swish-max", "real_batch": 7},
    {"network": "convnet-d1-w8-group-leakyrelu-nopool", "real_batch": 10**6},
    {"compute": Compute(precision="bfloat16"), "iterations": 2},
    {"compute": Compute(compile="always"), "iterations": 2},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("method", ["dm", "datadam"])
def test_a_class_is_the_same_to_the_last_bit_whatever_is_distilled_with_it(
    digits, make, method, settings
):
    settings = {"ipc": 2, **settings}
    every = make(method, digits.train, **settings)
    for group in ([3], [8, 3], [0, 3, 4, 5, 9]):
        some = make(method, digits.train.only(group), **settings)
        assert sorted(some.labels.unique().tolist()) == sorted(group)
        for label in group:
            same = some.images[some.labels == label], every.images[every.labels == label]
            assert torch.equal(*same), (group, label)


@pytest.mark.parametrize("size", [12, 28, 32])
def test_so_it_is_at_other_sizes_and_through_a_whitening(make, size):
    """In colour and whitened, with all operations, the same class alone and among others."""
    shape = (3, size, size)
    pixels = torch.randint(0, 256, (90, *shape), generator=generator(0), dtype=torch.uint8)
    about = About("noise", Normalisation.fixed(3), shape, ("a", "b", "c"))
    real = ImageSet.sorted(about, pixels, torch.arange(3).repeat(30))
    if size == 12:
        real = whitened(Data(real, real)).train
    settings = {"network": "convnet-d2-w16", "iterations": 6, "networks": 0}
    for ipc in (1, 10):
        every = make("datadam", real, ipc, **settings)
        alone = make("datadam", real.only([1]), ipc, **settings)
        assert torch.equal(every.images[every.labels == 1], alone.images)


def test_so_it_is_where_the_product_of_a_whitening_is_large(make):
    """The rows of a product of one or two images may round otherwise than those of ten."""
    shape, size = (3, 32, 32), 3 * 32 * 32
    pixels = torch.randint(0, 256, (12, *shape), generator=generator(0), dtype=torch.uint8)
    about = About("noise", Normalisation.fixed(3), shape, tuple("abcdef"))
    real = ImageSet.sorted(about, pixels, torch.arange(6).repeat(2))
    mixing = torch.randn(size, size, generator=generator(1)) / size**0.5
    white = Whitening(torch.zeros(size), mixing, mixing.T.contiguous(), 0.1)
    seen = dataclasses.replace(real.normalisation, whitening=white)
    real = dataclasses.replace(real, normalisation=seen)
    settings = {"network": "convnet-d1-w4", "iterations": 2, "networks": 1, "real_batch": 2}
    every = make("dm", real, 1, **settings)
    for group in ([2], [1, 2]):
        some = make("dm", real.only(group), 1, **settings)
        assert torch.equal(some.images[some.labels == 2], every.images[every.labels == 2])


def test_batch_norm_couples_the_classes_and_says_so(digits, make):
    network = "convnet-d2-w8-batch"
    config = datadam.Config(network=network)
    assert config.couples_classes and not datadam.Config().couples_classes
    every = make("datadam", digits.train, 2, network=network)
    alone = make("datadam", digits.train.only([3]), 2, network=network)
    assert not torch.allclose(every.images[every.labels == 3], alone.images, atol=1e-2)


NORMS = ["none", "batch", "layer", "instance", "group"]


@pytest.mark.parametrize("at_once", [2**21, 8 * 64 * 7], ids=["at once", "in chunks"])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", [dm, datadam])
def test_the_fast_step_is_the_published_step(
    digits, monkeypatch, method, norm, dtype, within, at_once
):
    monkeypatch.setitem(pieces.AT_ONCE, "cpu", at_once)
    real = digits.train.only([1, 4, 7])
    network = f"convnet-d3-w8-{norm}".replace("none", "nonorm")
    config = method.Config(network=network, real_batch=40)
    images = torch.randn(3, 3, 1, 8, 8, dtype=dtype, generator=generator(0)).requires_grad_()
    loss = reference.loss(images, real, config, step=5)
    (gradient,) = torch.autograd.grad(loss, images)
    step = objective(real, config, dtype).step(images.detach(), 5)
    assert step.gradient.dtype == dtype and gradient.abs().max() > 0
    assert abs(step.loss - loss.item()) <= within * loss.item()
    assert (step.gradient - gradient).norm() <= within * gradient.norm()


@pytest.mark.parametrize("power", [1, 2.5])
def test_other_powers_and_weights_are_those_of_the_published_step(digits, power):
    real = digits.train.only([1, 4])
    config = datadam.Config(
        network="convnet-d3-w8", power=power, balance=0.3, weight=7, augmented=False
    )
    images = torch.rand(2, 2, 1, 8, 8, generator=generator(0)).requires_grad_()
    loss = reference.loss(images, real, config, step=1)
    (gradient,) = torch.autograd.grad(loss, images)
    step = objective(real, config).step(images.detach(), 1)
    assert step.loss == pytest.approx(loss.item(), rel=1e-4)
    assert torch.allclose(step.gradient, gradient, rtol=1e-3, atol=1e-4 * float(gradient.norm()))


def test_the_loss_by_hand(digits):
    """|| mean of the embeddings of real images - that of the synthetic ones ||^2, class by class.

    A statistic of pixel sums makes it plain arithmetic.
    """
    real = digits.train.only([0, 1])
    config = dm.Config(network="convnet-d1-w8", real_batch=10**6, augmented=False)

    def brightness(network, images):
        return [matching.Vectors("brightness", 3.0, images.sum((1, 2, 3))[:, None])]

    images = torch.zeros(2, 2, 1, 8, 8)
    images[0, 0, 0, 0, 0], images[1, 1, 0, 5, 5] = 4.0, -6.0
    step = matching_of(brightness, real, config).step(images, 0)
    own = [2.0, -3.0]
    theirs = [
        (real.of_class(label).double() / 255 * 4 - 2).sum((1, 2, 3)).mean().item()
        for label in (0, 1)
    ]
    differences = [a - b for a, b in zip(own, theirs, strict=True)]
    assert step.loss == pytest.approx(sum(3 * d * d for d in differences), rel=1e-4)
    for gradient, difference in zip(step.gradient, differences, strict=True):
        # 3 * d(difference^2), and each of two images gives half of the mean.
        assert torch.allclose(gradient, torch.full((2, 1, 8, 8), 3 * difference), rtol=1e-3)


def test_bought_targets_come_round_again_and_fresh_networks_do_not(digits):
    real = digits.train.only([1, 4])
    images = torch.randn(2, 1, 1, 8, 8, generator=generator(0))
    losses = {}
    for networks in (0, 2):
        config = datadam.Config(network="convnet-d2-w8", networks=networks, real_batch=20)
        matcher = objective(real, config)
        matcher.prepare(Progress())
        losses[networks] = [matcher.step(images, number).loss for number in range(4)]
    assert losses[2] == pytest.approx(losses[0][:2] * 2, rel=1e-5)
    assert len({round(loss, 6) for loss in losses[0]}) == 4


def test_a_class_with_few_images_gives_all_it_has(digits):
    """As many real images a class as are asked for, each at most once."""
    real = digits.train.only([1, 8])
    counts = []

    def counting(network, images):
        counts.append(len(images))
        assert len(images.unique(dim=0)) == len(images)
        return dm.embedding(network, images)

    for real_batch in (30, 118, 10**6):
        config = dm.Config(network="convnet-d1-w8", real_batch=real_batch, augmented=False)
        matching_of(counting, real, config).target(0)
    sizes = [len(real.of_class(label)) for label in (1, 8)]
    assert counts == [30, 30, *(min(118, size) for size in sizes), *sizes]


def test_digits_are_never_mirrored_in_learning_and_all_else_is_drawn(digits, with_flips):
    """And where a dataset allows all six, all six come."""
    config = dm.Config(network="convnet-d1-w8", real_batch=1)
    drawn = []
    for real in (digits.train, with_flips):
        matcher = objective(real, config)
        operations = torch.cat([matcher.target(k).draws.operation for k in range(15)])
        drawn.append({OPERATIONS[place] for place in operations.tolist()})
    assert drawn == [set(OPERATIONS) - {"flip"}, set(OPERATIONS)]
    plain = objective(digits.train, dataclasses.replace(config, augmented=False))
    assert plain.target(0).draws is None


def test_a_large_set_is_stepped_in_groups_and_comes_out_the_same(digits, make, monkeypatch):
    whole = make("datadam", digits.train, 2)
    seen = []

    def counting(network, images):
        seen.append(len(images))
        return dm.embedding(network, images)

    monkeypatch.setitem(pieces.AT_ONCE, "cpu", 8 * 64 * 6)
    assert torch.allclose(whole.images, make("datadam", digits.train, 2).images, atol=1e-4)
    config = dm.Config(network="convnet-d1-w8", real_batch=20)
    matching_of(counting, digits.train, config).step(torch.zeros(10, 2, 1, 8, 8), 0)
    real, synthetic = [5] * 4, [6] * 4  # 20 a class in equal pieces; 10 classes, 3 at a time
    assert seen == real * 10 + synthetic


def test_a_compiled_run_makes_the_same_images(digits, make):
    few = digits.train.only([0, 1])
    settings = {"networks": 0, "iterations": 2, "network": "convnet-d1-w8"}
    said = io.StringIO()
    eager = make("datadam", few, 1, **settings)
    always = Compute(compile="always")
    fused = make("datadam", few, 1, compute=always, progress=Progress(said), **settings)
    if "torch.compile fails here" in said.getvalue():
        pytest.skip("no C++ compiler here")
    assert torch.allclose(eager.images, fused.images, atol=1e-4)


def test_a_compiled_run_uses_the_compiled_function(digits, make, monkeypatch):
    seen = []

    def compiler(function, dynamic):
        return lambda network, images: seen.append(len(images)) or function(network, images)

    monkeypatch.setattr(torch, "compile", compiler)
    always = Compute(compile="always")
    make("datadam", digits.train, 1, networks=0, iterations=1, compute=always)
    assert seen == [20, 10, *[20] * 10, 10]  # once to try it; 20 real images a class


def test_where_the_compiler_fails_the_run_says_so_and_goes_on(digits, make, monkeypatch):
    def compiler(function, dynamic):
        def broken(*_):
            raise RuntimeError("no working C++ compiler\nand much more")

        return broken

    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(compiled, "SAID", set())
    said = io.StringIO()
    always = Compute(compile="always")
    small = make("datadam", digits.train, 1, compute=always, progress=Progress(said))
    assert said.getvalue() == (
        "torch.compile fails here, so it is left out: no working C++ compiler\n"
    )
    assert torch.equal(small.images, make("datadam", digits.train, 1).images)


@pytest.mark.parametrize("method", ["dm", "datadam"])
def test_learning_brings_the_loss_down(digits, make, method):
    real = digits.train
    settings = {"networks": 1, "start": "noise", "network": "convnet-d2-w8"}
    losses = []
    for iterations in (0, 40):
        small = make(method, real, 1, iterations=iterations, **settings)
        config = registry.load("distill.methods", method).Config(**small.made.config)
        images = real.normalisation(small.images).view(10, 1, 1, 8, 8)
        losses.append(reference.loss(images, real, config).item())
    assert losses[1] < 0.5 * losses[0]


def test_dm_is_datadam_without_attention(digits):
    config = datadam.Config(network="convnet-d3-w8", balance=0.02, weight=50)
    network = build(parse(config.network), (1, 8, 8), classes=10, generator=generator(0))
    images = torch.rand(4, 1, 8, 8, generator=generator(1))
    *attention, last = datadam.statistic(network, images, config=config)
    (only,) = dm.embedding(network, images)
    assert len(attention) == 2 and [term.weight for term in attention] == [50, 50]
    assert torch.equal(only.rows, last.rows) and only.weight == last.weight == 1
    every = dataclasses.replace(config, every_layer=True)
    three = datadam.statistic(network, images, config=every)
    assert [term.weight for term in three] == [50, 50, 50, 1]
    assert all(map(torch.equal, *([t.rows for t in own[:2]] for own in (attention, three))))
    of_the_last = network.layers(images)[0][-1].pow(4).sum(1).flatten(1)
    assert torch.allclose(three[2].rows, of_the_last / of_the_last.norm(dim=1, keepdim=True))
    shared = {field.name for field in dataclasses.fields(dm.Config)}
    about = digits.train.about
    both = [dataclasses.asdict(m.preset(about, 1, "laptop")) for m in (dm, datadam)]
    assert all(both[0][name] == both[1][name] for name in shared)


@pytest.mark.parametrize("kept", [0, 2**13, 2**28], ids=["none", "some", "all"])
def test_weights_that_are_kept_are_those_that_are_drawn(digits, make, monkeypatch, kept):
    real = digits.train.only([1, 4])
    drawn = make("datadam", real, 1)
    monkeypatch.setattr(matching, "KEPT", kept)
    assert torch.equal(make("datadam", real, 1).images, drawn.images)


def test_in_bfloat16_the_step_is_that_of_float32_within_its_rounding(digits):
    config = datadam.Config(network="convnet-d2-w8", real_batch=20)
    images = torch.randn(10, 2, 1, 8, 8, generator=generator(0))
    full = objective(digits.train, config).step(images, 0)
    low = Matching(
        statistic(config), digits.train, 2, config=config, seed=0,
        compute=Compute(precision="bfloat16"),
    ).step(images, 0)  # fmt: skip
    assert low.gradient.dtype == torch.float32
    assert not torch.equal(low.gradient, full.gradient)
    assert low.loss == pytest.approx(full.loss, rel=0.05)
    assert (low.gradient - full.gradient).norm() < 0.1 * full.gradient.norm()


def test_what_is_compiled_goes_by_the_work_of_a_class(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: seen.append(1) or function)

    def compiled(compute=CPU, **settings):
        seen.clear()
        config = datadam.Config(network="convnet-d2-w8", networks=1, **settings)
        matcher = matching_of(statistic(config), digits.train, config, ipc=1)
        matcher.compute = compute
        matcher._compile(print)
        return len(seen)

    flops = size(parse("convnet-d2-w8"), (1, 8, 8), 10)[1]
    low = Compute(precision="bfloat16")
    monkeypatch.setattr(matching, "LONG", 10)
    monkeypatch.setattr(matching, "WORTH_COMPILING", 30 * flops)
    for iterations in (1, 99):  # a short run may be the beginning of a long one
        assert compiled(real_batch=29, iterations=iterations) == 0
        assert compiled(real_batch=30, iterations=iterations) == 1
        assert compiled(low, real_batch=1, iterations=iterations) == 1
        monkeypatch.setattr(matching, "LONG", 9)
        assert compiled(low, real_batch=1, iterations=iterations) == 0
        monkeypatch.setattr(matching, "LONG", 10)
    assert compiled(Compute(compile="always"), real_batch=1, iterations=1) == 2
    assert compiled(Compute(compile="never"), real_batch=30, iterations=99) == 0


def test_images_whitened_once_are_those_whitened_when_drawn(monkeypatch):
    pixels = torch.randint(0, 256, (40, 3, 8, 8), generator=generator(0), dtype=torch.uint8)
    about = About("noise", Normalisation.fixed(3), (3, 8, 8), ("a", "b"))
    real = ImageSet.sorted(about, pixels, torch.arange(2).repeat(20))
    real = whitened(Data(real, real)).train
    settings = {"batch": 10, "device": torch.device("cpu"), "dtype": torch.float32}
    drawn = []
    for draws, most, once in ((2, 2**31, True), (1, 2**31, False), (2, 1, False)):
        monkeypatch.setattr(drawing, "WHITENED", most)
        images = drawing.RealImages(real, times=draws, **settings)
        assert all(known.is_floating_point() == once for known in images.classes)
        drawn.append(images.draw(1, generator(0), None))
    assert drawn[0].shape == (10, 3, 8, 8)
    assert torch.allclose(drawn[0], drawn[1], atol=1e-4) and torch.equal(drawn[1], drawn[2])
