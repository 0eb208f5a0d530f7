"""The one training loop, against the plain loop of one network."""

import dataclasses

import pytest
import torch

from benchmarks.cost import reference
from distill.networks import build, parse
from distill.runtime.compute import CPU, Compute
from distill.runtime.seeding import generator
from distill.training import compiled, passes
from distill.training.compiled import fused
from distill.training.passes import gradients
from distill.training.recipes import Recipe
from distill.training.stack import Stack, stack
from distill.training.train import Batches, accuracy, fit, predictions, streams, training


def networks(count, shape=(1, 8, 8)):
    spec = parse("convnet-d2-w8")
    return [build(spec, shape, classes=10, generator=generator(0, k)) for k in range(count)]


def sample(digits, every=20):
    """Some images of all classes, normalised, and their labels."""
    train = digits.train
    return train.normalisation(train.images[::every]), train.labels[::every]


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_the_defaults_are_the_published_recipe():
    """Of the field's evaluation: DC's and DSA's code, which all methods' tables use."""
    published = {"epochs": 1000, "rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "batch": 256}
    recipe = dataclasses.asdict(Recipe())
    assert {name: recipe[name] for name in published} == published
    assert recipe["drop"] == 0.1 and len(recipe["operations"]) == 6


@pytest.mark.parametrize(("epochs", "first_low"), [(1, 1), (2, 1), (9, 5), (10, 5), (1000, 500)])
def test_the_rate_falls_once_at_half(epochs, first_low):
    recipe = Recipe(epochs=epochs)
    rates = [recipe.rate_at(epoch) for epoch in range(epochs)]
    assert rates == pytest.approx([0.01] * first_low + [0.001] * (epochs - first_low))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("operations", [(), ("crop", "rotate", "colour")])
def test_networks_come_out_as_from_the_plain_loop(digits, count, operations):
    images, labels = sample(digits)
    ours, plain = networks(count), networks(count)
    recipe = Recipe(epochs=4, batch=25, operations=operations)
    fit(ours, images, labels, recipe=recipe, seed=0)
    for k, network in enumerate(plain):
        start = weights(network)
        reference.train(network, images, labels, recipe=recipe, k=k)
        assert torch.allclose(weights(ours[k]), weights(network), atol=1e-5)
        assert not torch.allclose(weights(network), start, atol=1e-3)


def test_each_network_learns_as_if_alone(digits):
    images, labels = sample(digits)
    recipe = Recipe(epochs=3, batch=16)
    together, alone = networks(3), networks(1)
    fit(together, images, labels, recipe=recipe, seed=5)
    fit(alone, images, labels, recipe=recipe, seed=5)
    assert torch.allclose(weights(together[0]), weights(alone[0]), atol=1e-5)
    assert not torch.allclose(weights(together[0]), weights(together[1]), atol=1e-3)


def test_it_follows_its_seed_and_leaves_the_global_generator(digits):
    images, labels = sample(digits)
    before = torch.get_rng_state()
    ends = []
    for seed in (1, 1, 2):
        trained = networks(1)
        fit(trained, images, labels, recipe=Recipe(epochs=2), seed=seed)
        ends.append(weights(trained[0]))
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_it_learns(digits):
    images, labels = digits.train.normalisation(digits.train.images), digits.train.labels
    trained = networks(2)
    recipe = Recipe(epochs=8, batch=32, operations=digits.train.about.operations)
    fit(trained, images, labels, recipe=recipe, seed=0)
    test = digits.test.normalisation(digits.test.images)
    assert accuracy(trained, test, digits.test.labels).min() > 0.85


@pytest.mark.parametrize("steps", [1, 5, 8])
def test_steps_go_before_the_recipes_epochs(digits, steps):
    """61 images in batches of 25 are 3 steps an epoch; a whole one or a part of one will do."""
    images, labels = sample(digits)
    images, labels = images[:61], labels[:61]
    recipe = Recipe(epochs=1000, batch=25, operations=(), rate=0.1, momentum=0, weight_decay=0)

    def lengths(recipe, steps=None):
        """How far the weights went at each step."""
        (network,) = networks(1)
        before, moved = weights(network), []
        for done, loss in training(
            [network], images, labels, recipe=recipe, generators=streams(0, 1), steps=steps
        ):
            moved.append((weights(network) - before).norm().item())
            before = weights(network)
            assert done == len(moved) and loss.isfinite()
        return moved

    ours = lengths(recipe, steps)
    assert len(ours) == steps
    same = lengths(dataclasses.replace(recipe, epochs=3, drop=1.0))
    half = (steps + 1) // 2
    assert ours[:half] == pytest.approx(same[:half])
    if steps > 1:  # one step later the weights still are the same, and the rate is a tenth
        assert ours[half] == pytest.approx(0.1 * same[half], rel=1e-3)


def test_every_epoch_shows_every_image_once_in_a_new_order(digits):
    images, labels = sample(digits)
    recipe = Recipe(batch=25, operations=())
    batches = Batches(images, labels, recipe=recipe, generators=streams(0, 2))
    epochs = []
    for _ in range(2):
        parts = list(batches)
        assert len(parts) == len(batches) == 3 and parts[0][0].shape == (2, 25, 1, 8, 8)
        x, y = (torch.cat(part, 1) for part in zip(*parts, strict=True))
        for k in range(2):
            assert torch.equal(x[k].flatten(1).sum(1).sort()[0], images.flatten(1).sum(1).sort()[0])
            assert torch.equal(y[k].sort()[0], labels.sort()[0])
        epochs.append(y)
    assert not torch.equal(epochs[0], epochs[1]) and not torch.equal(epochs[0][0], epochs[0][1])


def test_images_and_labels_stay_together(digits):
    images, labels = sample(digits)
    recipe = Recipe(batch=25, operations=())
    for x, y in Batches(images, labels, recipe=recipe, generators=streams(0, 2)):
        for image, label in zip(x.flatten(0, 1), y.flatten(), strict=True):
            assert any(torch.equal(image, own) for own in images[labels == label])


def test_only_the_recipes_operations_are_used(digits):
    images, labels = sample(digits)
    mirrored = {True: images.flip(3), False: images}
    for operations, expected in ((("flip",), {True, False}), ((), {False})):
        recipe = Recipe(batch=100, operations=operations)
        (x, _), *_ = Batches(images, labels, recipe=recipe, generators=streams(0, 1))
        seen = set()
        for image in x[0]:
            ways = {way for way, known in mirrored.items() if any(map(image.equal, known))}
            assert ways
            seen |= ways
        assert seen == expected


def test_accuracy_counts_right_answers_in_chunks(digits):
    images, labels = sample(digits, 37)
    nets = networks(2)
    nets[0].train()
    answers = predictions(nets, images, chunk=7)
    assert nets[0].training
    for network, own in zip(nets, answers, strict=True):
        assert torch.equal(network.eval()(images).argmax(1), own)
    right = [
        sum(a == b for a, b in zip(own, labels.tolist(), strict=True)) for own in answers.tolist()
    ]
    assert accuracy(nets, images, labels).tolist() == pytest.approx(
        [r / len(labels) for r in right]
    )
    assert accuracy(nets, images, answers[1])[1] == 1


@pytest.mark.parametrize(("precision", "within"), [("float32", 1e-5), ("bfloat16", 2e-2)])
@pytest.mark.parametrize("norm", ["instance", "batch", "layer"])
def test_a_mini_batch_in_pieces_has_the_gradients_of_the_whole(
    digits, monkeypatch, norm, precision, within
):
    """Batch norm keeps its batch: it sees all images at once, or their gradients would differ."""
    images, labels = sample(digits)
    spec, sizes = parse(f"convnet-d2-w8-{norm}"), []
    found = []
    for most in (2**22, 8 * 64 * 7):
        monkeypatch.setitem(passes.AT_ONCE, "cpu", most)
        network = build(spec, (1, 8, 8), classes=10, generator=generator(0)).train()
        network.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
        model, compute = stack([network], (1, 8, 8)), Compute(precision=precision)
        loss, logits = gradients(model, images[None], labels[None], compute=compute)
        grads = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
        found.append((loss, logits, grads))
    for whole, parts in zip(*found, strict=True):
        assert torch.allclose(
            whole, parts, rtol=10 * within, atol=within * float(whole.abs().max())
        )
    count = len(images)
    whole = norm == "batch"
    assert count % 7 and sizes == [count, *([count] if whole else [7] * (count // 7) + [count % 7])]


@pytest.mark.parametrize("count", [1, 2])
def test_in_bfloat16_gradients_and_weights_stay_float32_and_agree(digits, count):
    images, labels = sample(digits)
    found = []
    for compute in (CPU, Compute(precision="bfloat16")):
        several = networks(count)
        model = stack(several, images.shape).train()
        batch = images.expand(count, *images.shape), labels.expand(count, -1)
        _, logits = gradients(model, *batch, compute=compute)
        parameters = list(model.parameters())
        assert all(p.dtype == p.grad.dtype == torch.float32 for p in parameters)
        found.append((logits, torch.cat([p.grad.flatten() for p in parameters])))
    for full, low in zip(*found, strict=True):
        assert low.dtype == torch.float32 and not torch.equal(full, low)
        assert (full - low).norm() < 0.05 * full.norm()
    fit(several, images, labels, recipe=Recipe(epochs=30), seed=0, compute=compute)
    assert accuracy(several, images, labels, compute=compute).min() > 0.3
    assert predictions(several, images).dtype == torch.int64


LOW, SHORT = Compute(torch.device("cpu"), 1, "bfloat16"), Recipe(epochs=2, batch=8)


def trained(compute, *, name="convnet-d1-w4", recipe=None, say=print):
    """A network's weights after 4 steps on 12 images of 20 pixels."""
    network = build(parse(name), (3, 20, 20), classes=10, generator=generator(0, "network"))
    images = torch.randn(12, 3, 20, 20, generator=generator(0, "images"))
    given = {"recipe": recipe or SHORT, "generators": streams(0, 1), "compute": compute, "say": say}
    for _ in training([network], images, torch.arange(12) % 10, **given):
        pass
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


@pytest.mark.parametrize("cutmix", [0.0, 0.5])
def test_a_compiled_training_is_the_same_but_for_rounding(cutmix):
    said, recipe = [], dataclasses.replace(SHORT, cutmix=cutmix)
    always, never = (Compute(compile=how) for how in ("always", "never"))
    fused = trained(always, recipe=recipe, say=said.append)
    if any("torch.compile fails here" in line for line in said):
        pytest.skip("no C++ compiler here")
    plain = trained(never, recipe=recipe)
    assert not torch.equal(plain, trained(never)) or not cutmix
    assert torch.allclose(fused, plain, atol=1e-5)
    assert torch.equal(fused, trained(always, recipe=recipe))


def test_what_of_a_training_is_compiled_goes_by_its_own_work(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: seen.append(1) or function)

    def compilations(compute, **settings):
        seen.clear()
        trained(compute, **settings)
        return len(seen)

    assert compilations(LOW) == 0  # too short
    monkeypatch.setattr(passes, "WORTH_COMPILING", 1e6)
    assert compilations(LOW) == 1
    assert compilations(CPU) == 0  # float32
    assert compilations(dataclasses.replace(CPU, compile="always")) == 1
    assert compilations(dataclasses.replace(LOW, compile="never")) == 0
    assert compilations(LOW, name="convnet-d1-w4-batch") == 0  # its statistics stay its own


def test_on_a_gpu_no_training_is_compiled_unasked(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    monkeypatch.setattr(passes, "WORTH_COMPILING", 1e6)
    network = build(parse("convnet-d1-w4"), (3, 20, 20), classes=10, generator=generator(0))
    given = {"recipe": SHORT, "steps": 4, "compute": LOW, "say": print}
    for device, plain in (("meta", True), ("cpu", False)):  # "meta" stands for any but a CPU
        images = torch.zeros(12, 3, 20, 20, device=device)
        way = passes.compiled(Stack([network]), images, torch.arange(12) % 10, **given)
        assert (way is passes.forward) is plain


def test_where_the_compiler_fails_a_training_says_so_and_goes_on(monkeypatch):
    def compiler(function, dynamic):
        def failing(*given):
            raise RuntimeError("no working C++ compiler\nand much more")

        return failing

    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(compiled, "SAID", set())
    said = []
    weights = trained(Compute(compile="always"), say=said.append)
    trained(Compute(compile="always"), say=said.append)  # says it no second time
    assert said == ["torch.compile fails here, so it is left out: no working C++ compiler"]
    assert torch.equal(weights, trained(Compute(compile="never")))


def one_pass(name):
    network = build(parse(name), (3, 8, 8), classes=2, generator=generator(0))
    return lambda forward: forward(network, torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))


def test_no_number_of_networks_is_too_many_to_compile():
    """From torch's own limit on it would compute uncompiled without a word."""
    graphs = []

    def backend(graph, example):
        graphs.append(graph)
        return graph.forward

    compiling = torch.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            torch, "compile", lambda function, dynamic: compiling(function, backend=backend)
        )
        for width in range(4, 24):
            fused(passes.forward, one_pass(f"convnet-d1-w{width}"), print)
    torch.compiler.reset()
    assert len(graphs) == 20
