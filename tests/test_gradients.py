"""Gradient matching, DC and DSA, against their plain form."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from test_checkpoints import Broken, Counted

from benchmarks.classification import __main__ as classification
from distill import __main__ as distill_command
from distill import checkpoints, datasets, learn, presets
from distill.augment import OPERATIONS, augment, draw
from distill.images import About, ImageSet, Normalisation
from distill.methods import datadam, dc, dsa
from distill.networks import build, parse
from distill.objectives import copies, gradients
from distill.objectives.gradients import Config, Gradients
from distill.pattern import parse as parse_pattern
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import derive, generator
from distill.runtime.store import Store
from distill.training import stack
from downstream.continual import protocol
from downstream.nas import proxy

TRAINED = {"outer_loop": 3, "inner_loop": 2, "network_rate": 0.1, "iterations": 9}


def objective(real, config, operations=(), compute=CPU, dtype=torch.float32):
    return Gradients(operations, real, config=config, seed=0, compute=compute, dtype=dtype)


def networks_weights(network):
    return [weight for weight in network.parameters() if weight.ndim > 1]


def fresh(config, real, number, like):
    stream = generator(0, "network", number)
    return build(parse(config.network), real.shape, classes=10, generator=stream).to(like)


def plain(images, real, config, operations, *, network, target):
    """The published loss: a class after the other, unit by unit, one graph for all of it."""
    total = images.new_zeros(())
    for c, label in enumerate(real.present):
        stream = generator(0, "target", target, label)
        drawn = draw([stream], operations).to(images) if operations else None
        pixels = real.of_class(label)
        chosen = torch.randperm(len(pixels), generator=stream)[: config.real_batch]
        sides = []
        for x in (real.normalisation(pixels[chosen]).to(images), images[c]):
            seen = augment(x[None], drawn)[0] if drawn else x
            loss = F.cross_entropy(network(seen), torch.full((len(seen),), label))
            weights = networks_weights(network)
            sides.append(torch.autograd.grad(loss, weights, create_graph=True))
        for theirs, ours in zip(*sides, strict=True):
            for a, b in zip(theirs, ours, strict=True):
                total = total + 1 - (a * b).sum() / (a.norm() * b.norm())
    return total


@pytest.mark.parametrize("at_once", [2**21, 8 * 64], ids=["at once", "in pieces"])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("operations", [(), OPERATIONS], ids=["dc", "dsa"])
@pytest.mark.parametrize("small", [stack.SMALL, 0], ids=["side by side", "one by one"])
@pytest.mark.parametrize("network", ["convnet-d2-w8", "convnet-d1-w8-layer-swish-max"])
def test_loss_and_gradient_are_those_of_the_plain_form(
    digits, monkeypatch, network, small, operations, dtype, within, at_once
):
    monkeypatch.setattr(stack, "SMALL", small)
    monkeypatch.setitem(copies.AT_ONCE, "cpu", at_once)
    real = digits.train.only([1, 4, 7])
    config = Config(network=network, real_batch=7, outer_loop=4)
    images = torch.randn(3, 2, 1, 8, 8, dtype=dtype, generator=generator(0)).requires_grad_()
    network = fresh(config, real, 1, images)
    loss = plain(images, real, config, operations, network=network, target=1)
    (gradient,) = torch.autograd.grad(loss, images)
    step = objective(real, config, operations, dtype=dtype).step(images.detach(), 6)
    assert step.gradient.dtype == dtype and gradient.abs().max() > 0
    assert step.loss == pytest.approx(loss.item(), rel=within)
    assert (step.gradient - gradient).norm() <= within * gradient.norm()


def test_the_gradient_is_that_of_differences_where_pooling_is_our_own(monkeypatch):
    """On 32x32 pixels, whose pooling has a way back of its own, differentiated once more here."""
    pixels = torch.randint(0, 256, (8, 3, 32, 32), generator=generator(0), dtype=torch.uint8)
    about = About("noise", Normalisation.fixed(3), (3, 32, 32), tuple("ab"))
    real = ImageSet.sorted(about, pixels, torch.arange(2).repeat(4))
    config = Config(network="convnet-d2-w32-swish", real_batch=4)
    matched = objective(real, config, OPERATIONS, dtype=torch.float64)
    images = torch.randn(2, 1, 3, 32, 32, dtype=torch.float64, generator=generator(1))
    step, towards = matched.step(images, 0), torch.randn(images.shape, generator=generator(2))
    up, down = (matched.step(images + sign * 1e-5 * towards, 0).loss for sign in (1, -1))
    assert (up - down) / 2e-5 == pytest.approx(float((step.gradient * towards).sum()), rel=1e-4)


def test_the_inner_loop_is_the_published_one(digits):
    """Match, then pass over all synthetic images with SGD without momentum, then match again."""
    real = digits.train.only([1, 4, 7])
    config = Config(network="convnet-d2-w8", real_batch=20, **TRAINED)
    images = torch.randn(3, 2, 1, 8, 8, generator=generator(0))
    matched, network = objective(real, config), fresh(config, real, 1, images)
    for number in (3, 4, 5):
        if number > 3:
            optimiser = torch.optim.SGD(network.parameters(), lr=config.network_rate)
            for _ in range(config.inner_loop):  # 6 images: their order is no matter
                optimiser.zero_grad()
                labels = torch.tensor([1, 1, 4, 4, 7, 7])
                F.cross_entropy(network(images.flatten(0, 1)), labels).backward()
                optimiser.step()
        loss = plain(images, real, config, (), network=network, target=number)
        assert matched.step(images, number).loss == pytest.approx(loss.item(), rel=1e-4)
        images = images + 0.1
    assert matched.step(images, 6).loss != pytest.approx(loss.item(), rel=1e-3)


@pytest.mark.parametrize("passes", [1, 3])  # in the next step on the images, and within the loop
def test_an_inner_loop_that_diverges_names_its_own_rate(digits, make, passes):
    changes = {"outer_loop": 3, "inner_loop": passes, "network_rate": 1e30, "real_batch": 5}
    with pytest.raises(Mistake, match=r"; give a lower --method.rate .*network-rate than 1e\+30$"):
        make("dc", digits.train.only([1, 2]), 1, network="convnet-d2-w8", iterations=6, **changes)


def test_of_dsa_the_inner_loop_is_augmented_and_of_dc_it_is_not(digits, monkeypatch):
    seen = []

    def fit(networks, images, labels, *, recipe, seed, compute):
        seen.append((recipe, labels.tolist(), seed))

    monkeypatch.setattr(gradients, "fit", fit)
    real = digits.train.only([1, 4])
    config = Config(network="convnet-d2-w8", real_batch=5, **TRAINED)
    for operations in ((), ("crop", "scale")):
        matched = objective(real, config, operations)
        for number in range(2):
            matched.step(torch.zeros(2, 2, 1, 8, 8), number)
    (plain, labels, seed), (augmented, *_) = seen
    assert (plain.epochs, plain.rate, plain.momentum, plain.weight_decay) == (2, 0.1, 0, 0)
    assert plain.batch == 256 and plain.rate_at(1) == 0.1 and labels == [1, 1, 4, 4]
    assert plain.operations == () and augmented.operations == ("crop", "scale")
    assert seed == derive(0, "inner loop", 1)


SETTINGS = [
    {},
    {"outer_loop": 4, "iterations": 6},
    {"ipc": 12, "iterations": 2},
    {"formation": 2, "averaged": 0.5, "schedule": "linear", "start": "noise"},
    {"compute": Compute(precision="bfloat16"), "iterations": 2},
    {"outer_loop": 1, "inner_loop": 50},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("method", ["dc", "dsa"])
def test_a_class_is_the_same_to_the_last_bit_whatever_is_distilled_with_it(
    digits, make, method, settings
):
    settings = {"ipc": 2, **settings}
    every = make(method, digits.train, **settings)
    for group in ([3], [8, 3], [0, 3, 4, 5, 9]):
        some = make(method, digits.train.only(group), **settings)
        for label in group:
            same = some.images[some.labels == label], every.images[every.labels == label]
            assert torch.equal(*same), (group, label)


def test_so_it_is_of_more_classes_than_pass_together_and_of_larger_images(make):
    for size, classes, network in ((8, 13, "convnet-d2-w8"), (20, 3, "convnet-d2-w16")):
        shape = (3, size, size)
        about = About("noise", Normalisation.fixed(3), shape, tuple("abcdefghijklm"[:classes]))
        count = 6 * classes
        pixels = torch.randint(0, 256, (count, *shape), generator=generator(0), dtype=torch.uint8)
        real = ImageSet.sorted(about, pixels, torch.arange(classes).repeat(6))
        every = make("dsa", real, 2, network=network, iterations=3)
        last = make("dsa", real.only([classes - 1]), 2, network=network, iterations=3)
        assert torch.equal(every.images[-2:], last.images)


def test_training_between_steps_couples_the_classes_and_says_so(digits, make):
    config = Config(**TRAINED)
    assert config.couples_classes and config.unit == 3
    for changes in ({"outer_loop": 1}, {"inner_loop": 0}):
        alone = dataclasses.replace(config, **changes)
        assert not alone.couples_classes and alone.unit == 1
    every = make("dsa", digits.train, 2, **TRAINED)
    alone = make("dsa", digits.train.only([3]), 2, **TRAINED)
    assert not torch.allclose(every.images[every.labels == 3], alone.images, atol=1e-3)


@pytest.mark.parametrize(("settings", "left"), [
    ({"iterations": 9, "outer_loop": 2}, 4),
    ({"iterations": 9, "schedule": "linear", "averaged": 0.5}, 4),
    (TRAINED, 6),  # it stood within the second network, and begins that one again
], ids=str)  # fmt: skip
@pytest.mark.parametrize("often", [0.0, 1e9], ids=["every step", "at Ctrl-C"])
def test_a_run_broken_off_goes_on_to_the_very_same_images(
    digits, make, tmp_path, monkeypatch, often, settings, left
):
    monkeypatch.setattr(checkpoints, "EVERY", often)
    real, store = digits.train.only([2, 5, 7]), Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        make("dsa", real, 2, store=store, progress=Broken(5), **settings)
    counted = Counted()
    resumed = make("dsa", real, 2, store=store, progress=counted, **settings)
    if often and settings is TRAINED:
        left = 9  # without a checkpoint between two networks there is nothing to go on from
    assert counted.made == left
    assert torch.equal(resumed.images, make("dsa", real, 2, **settings).images)


def test_a_longer_run_goes_on_from_the_last_whole_network(digits, make, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    real, store = digits.train.only([2, 5]), Store(tmp_path)
    make("dsa", real, 1, store=store, **TRAINED | {"iterations": 5})
    counted = Counted()
    longer = make("dsa", real, 1, store=store, progress=counted, **TRAINED)
    assert counted.made == 6 and torch.equal(longer.images, make("dsa", real, 1, **TRAINED).images)


def test_dc_knows_no_augmentation_and_dsa_draws_one_for_real_and_synthetic_images(
    digits, make, monkeypatch
):
    sides = []

    def counting(images, drawn):
        sides.append((images.shape[1], drawn.operation.tolist(), drawn.numbers.flatten().tolist()))
        return augment(images, drawn)

    monkeypatch.setattr(gradients, "augment", counting)
    monkeypatch.setattr("distill.drawing.augment", counting)
    real = digits.train.only([3])
    settings = {"ipc": 2, "real_batch": 7, "iterations": 4, "outer_loop": 2}
    make("dc", real, **settings)
    assert not sides
    make("dsa", real, **settings)
    assert [side[0] for side in sides] == [7, 2, 2, 7, 2, 2]  # of two networks, two steps in each
    for theirs, *ours in (sides[:3], sides[3:]):
        for _, operation, numbers in ours:
            assert set(operation) == set(theirs[1]) and numbers[:3] == theirs[2]
    assert sides[0][1:] != sides[3][1:]


@pytest.mark.parametrize("method", ["dc", "dsa"])
def test_learning_brings_the_loss_down(digits, make, method):
    settings = {"outer_loop": 40, "network": "convnet-d2-w8", "rate": 0.02, "real_batch": 60}
    losses = []
    for iterations in (0, 40):
        small = make(method, digits.train, 1, iterations=iterations, **settings)
        images = digits.train.normalisation(small.images).view(10, 1, 1, 8, 8)
        operations = digits.train.about.operations if method == "dsa" else ()
        config = type(dc.preset(digits.train.about, 1, "laptop"))(**small.made.config)
        losses.append(objective(digits.train, config, operations).step(images, 0).loss)
    assert losses[1] < 0.7 * losses[0]


def test_in_bfloat16_the_step_is_that_of_float32_within_its_rounding(digits):
    config = Config(network="convnet-d2-w8", real_batch=20)
    images = torch.randn(10, 2, 1, 8, 8, generator=generator(0))
    full = objective(digits.train, config).step(images, 0)
    low = objective(digits.train, config, compute=Compute(precision="bfloat16")).step(images, 0)
    assert low.gradient.dtype == torch.float32
    assert not torch.equal(low.gradient, full.gradient)
    assert low.loss == pytest.approx(full.loss, rel=0.05)
    assert (low.gradient - full.gradient).norm() < 0.2 * full.gradient.norm()


@pytest.mark.parametrize("network", ["alexnet", "vgg11", "resnet10", "vit"])
def test_every_family_can_be_differentiated_twice(digits, network):
    about = dataclasses.replace(digits.train.about, shape=(1, 32, 32))
    pixels = torch.randint(0, 256, (8, 1, 32, 32), generator=generator(0), dtype=torch.uint8)
    real = ImageSet.sorted(about, pixels, torch.arange(2).repeat(4))
    step = objective(real, Config(network=network, real_batch=2)).step(
        torch.randn(2, 1, 1, 32, 32), 0
    )
    assert step.gradient.isfinite().all() and step.gradient.abs().max() > 0


@pytest.mark.parametrize(("changes", "said"), [
    ({"network": "convnet-batch"}, "--method.network convnet-.*batch.*give another norm"),
    ({"network": "convnet-{instance,batch}"}, "batch norm would see that class alone"),
    ({"outer_loop": 0}, "--method.outer-loop 0: give 1 or more"),
    ({"inner_loop": -1}, "--method.inner-loop -1: give 0 or more"),
    ({"network_rate": 0.0}, "--method.network-rate 0.0: give above 0"),
    ({"real_batch": 0}, "--method.real-batch 0: give 1 or more"),
], ids=str)  # fmt: skip
def test_settings_that_cannot_be_are_refused_in_one_line(changes, said):
    with pytest.raises(Mistake, match=said):
        Config(**changes)


def test_the_published_loops():
    about = datasets.about("cifar10")
    expected = {1: (1, 1), 9: (1, 1), 10: (10, 50), 20: (20, 25), 35: (30, 20), 50: (50, 10)}
    for ipc, loops in expected.items():
        for method, start in ((dc, "noise"), (dsa, "real")):
            config = method.preset(about, ipc, "paper")
            assert (config.outer_loop, config.inner_loop) == loops
            assert config.iterations == 1000 * loops[0] and config.couples_classes == (ipc >= 10)
            assert (config.rate, config.network_rate, config.real_batch) == (0.1, 0.01, 256)
            assert config.start == start and method.preset(about, ipc, "laptop").start == "real"


@pytest.mark.parametrize(("size", "depth"), [(8, 2), (12, 2), (16, 3), (28, 3), (32, 3), (64, 4)])
def test_the_last_norm_of_a_preset_has_four_pixels_a_side(size, depth):
    about = dataclasses.replace(datasets.about("cifar10"), shape=(3, size, size))
    for name, width in (("laptop", 32), ("paper", 128)):
        for method in (dc, dsa):
            spec = parse(method.preset(about, 1, name).network)
            assert (spec.depth, spec.width, spec.norm) == (depth, width, "instance")


def test_a_pattern_gives_every_network_its_turn(digits):
    config = Config(network="convnet-d{1,2}-w8", real_batch=3, outer_loop=2)
    matched, seen = objective(digits.train.only([1]), config), []
    for number in range(20):
        matched.step(torch.zeros(1, 1, 1, 8, 8), number)
        seen.append(matched.copies.network.spec)
    drawn = [parse_pattern(config.network).draw(0, number // 2) for number in range(20)]
    assert seen == drawn and len(set(seen)) == 2


# ------------------------------------------------------------------ presets


def test_a_preset_that_a_method_lacks_is_refused_with_those_it_has(digits):
    about = digits.train.about
    for name in ("released", "formation"):
        with pytest.raises(Mistake, match=f"no preset '{name}'; --preset takes laptop, paper with"):
            dc.preset(about, 1, name)
    with pytest.raises(Mistake, match="unknown preset 'relased'; did you mean released"):
        datadam.preset(about, 1, "relased")
    with pytest.raises(Mistake, match="unknown preset 'x'"):
        presets.protocol("x")
    assert [presets.protocol(name) for name in presets.NAMES] == [
        "laptop", "paper", "paper", "laptop",
    ]  # fmt: skip


def test_datadams_own_presets(digits, make):
    about = datasets.about("cifar10")
    released = datadam.preset(about, 100, "released")
    assert released.couples_classes and released.power == 1 and released.rate == 1
    assert (released.iterations, released.real_batch, released.networks) == (20000, 64, 0)
    laptop, formation = (datadam.preset(about, 10, name) for name in ("laptop", "formation"))
    assert formation == dataclasses.replace(laptop, formation=2, schedule="linear")
    assert learn.Config().unit == laptop.unit == 1


def test_a_protocol_has_the_paper_s_with_released_and_laptop_s_with_formation():
    about = datasets.about("cifar10")
    given = {"steps": 5, "strategy": "retrain", "seed": 0}
    for own, usual in (("released", "paper"), ("formation", "laptop")):
        one, other = (protocol.preset(name, about, **given) for name in (own, usual))
        assert one == other
        one, other = (proxy.preset(name, about) for name in (own, usual))
        assert (one.space.name, one.networks) == (other.space.name, other.networks)
        assert (one.truth, one.recipe) == (other.truth, other.recipe)


def test_a_command_says_which_presets_its_method_has(tmp_path):
    line = "this method has no preset 'released'; --preset takes laptop, paper with it"
    for command in (distill_command, classification):
        with pytest.raises(Mistake, match=line):
            command.main(["--method", "dm", "--preset", "released", "--out", str(tmp_path / "x")])
    with pytest.raises(Mistake, match="unknown preset 'relesed'; did you mean released"):
        classification.main(["--preset", "relesed", "--out", str(tmp_path)])
