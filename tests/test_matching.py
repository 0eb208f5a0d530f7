import dataclasses
import io
from functools import partial

import pytest
import torch

from benchmarks import reference
from distill import matching, registry
from distill.methods import datadam, dm
from distill.runtime.mistake import Mistake
from distill.networks import build, parse
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator


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


NORMS = ["none", "batch", "layer", "instance", "group"]


def both_ways(digits, method, norm, dtype, ipc=3):
    """Loss and image gradient of the engine and of the plain reference step."""
    real = digits.train.only([1, 4, 7])
    module = registry.load("methods", method)
    network = f"convnet-d3-w8-{norm}".replace("none", "nonorm")
    config = module.Config(network=network, real_batch=40)
    statistic = {"dm": dm.embedding, "datadam": partial(datadam.statistic, config=config)}[method]
    run = matching.Run(statistic, real, config, 0, torch.device("cpu"), dtype)
    found = []
    for way in ("engine", "reference"):
        images = run.first_images(ipc).requires_grad_()
        if way == "engine":
            loss, _ = run.backward(images, 5)
        else:
            loss = reference.loss(images, real, config, step=5)
            loss.backward()
            loss = loss.item()
        found.append((loss, images.grad))
    return found


@pytest.mark.parametrize("activations", [2**21, 8 * 64 * 7], ids=["at once", "in chunks"])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", ["dm", "datadam"])
def test_the_fast_step_is_the_reference_step(
    digits, monkeypatch, method, norm, dtype, within, activations
):
    monkeypatch.setitem(matching.ACTIVATIONS, "cpu", activations)
    (loss, gradient), (plain, plain_gradient) = both_ways(digits, method, norm, dtype)
    assert gradient.dtype == dtype and plain_gradient.abs().max() > 0
    assert abs(loss - plain) <= within * plain
    assert (gradient - plain_gradient).norm() <= within * plain_gradient.norm()


GOLDEN = {
    "dm": [0.0225066, 0.0299149, 0.0418245, 0.0268354],
    "datadam": [346.263, 766.743, 736.328, 813.920],
}
"""Losses of the first steps, from the engine before it was made fast."""


@pytest.mark.parametrize("method", GOLDEN)
def test_the_losses_of_the_first_steps(digits, distil, method, monkeypatch):
    losses = []
    monkeypatch.setattr(
        matching.Health, "watch", lambda self, step, loss, *rest: losses.append(loss)
    )
    distil(method, digits.train, 2, iterations=4, network="convnet-d3-w8", networks=0)
    assert losses == pytest.approx(GOLDEN[method], rel=1e-4)


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
        (gradient,) = torch.autograd.grad(reference.loss(images, real, config, step=k), images)
        velocity = 0.5 * velocity + gradient
        images = (images - 1.0 * velocity).detach().requires_grad_()
    expected = real.normalisation.inverse(images.detach().flatten(0, 1))
    assert torch.allclose(made.images, expected, atol=1e-3)


def test_a_large_set_is_stepped_in_groups_and_comes_out_the_same(digits, distil, monkeypatch):
    whole = distil("datadam", digits.train, 2)
    monkeypatch.setitem(matching.ACTIVATIONS, "cpu", 8 * 64 * 6)
    assert torch.allclose(whole.images, distil("datadam", digits.train, 2).images, atol=1e-4)


def test_a_compiled_run_makes_the_same_images(digits, distil):
    said = io.StringIO()
    eager = distil("datadam", digits.train, 1, networks=0)
    fused = distil("datadam", digits.train, 1, networks=0, compiled=True, progress=Progress(said))
    if "torch.compile fails here" in said.getvalue():
        pytest.skip("no C++ compiler here")
    assert torch.allclose(eager.images, fused.images, atol=1e-4)


def test_a_compiled_run_uses_the_compiled_function(digits, distil, monkeypatch):
    seen = []

    def compiler(function, dynamic):
        return lambda network, images: seen.append(len(images)) or function(network, images)

    monkeypatch.setattr(torch, "compile", compiler)
    distil("datadam", digits.train, 1, networks=0, iterations=1, compiled=True)
    assert seen == [200, 200]  # once to try it; 10 classes of 20 real images


def test_where_the_compiler_fails_the_run_says_so_and_goes_on(digits, distil, monkeypatch):
    def compiler(function, dynamic):
        def broken(*_):
            raise RuntimeError("no working C++ compiler\nand much more")

        return broken

    monkeypatch.setattr(torch, "compile", compiler)
    said = io.StringIO()
    made = distil("datadam", digits.train, 1, compiled=True, progress=Progress(said))
    assert said.getvalue() == (
        "torch.compile fails here, so it is left out: no working C++ compiler\n"
    )
    assert torch.equal(made.images, distil("datadam", digits.train, 1).images)


def test_the_loss_falls(digits, distil):
    real = digits.train
    settings = {"networks": 1, "start": "noise", "network": "convnet-d2-w8"}
    made = [distil("datadam", real, 1, iterations=n, **settings) for n in (1, 40)]
    config = datadam.Config(**made[0].made["config"])
    losses = [
        reference.loss(real.normalisation(m.images).view(10, 1, 1, 8, 8), real, config).item()
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
