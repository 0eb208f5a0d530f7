"""On a real GPU, where there is one: what `test_gpu.py` cannot see of memory and libraries."""

import dataclasses

import pytest
import torch

from distill.augment import OPERATIONS, augment, draw
from distill.images import Data
from distill.networks import build_many, parse
from distill.runtime.compute import Compute
from distill.runtime.seeding import generator
from distill.runtime.store import Store
from distill.training import train
from distill.training.captured import captured
from distill.training.compiled import fused_augment
from distill.training.recipes import Recipe, named
from distill.training.stack import Stack
from distill.whitening import whitened

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of CUDA")


@pytest.fixture
def cuda():
    """The last one: where there are several, not the one that torch takes by itself."""
    device = torch.device(f"cuda:{torch.cuda.device_count() - 1}")
    Compute(device).enter()
    return device


@pytest.mark.parametrize("networks", [0, 4])
@pytest.mark.parametrize("method", ["dm", "datadam"])
@pytest.mark.parametrize("compile", ["never", "always"])
def test_a_set_made_on_cuda_is_nearly_the_one_made_on_the_cpu(
    digits, make, method, networks, compile, cuda
):
    real = whitened(Data(*(half.only([1, 4, 7]) for half in digits))).train
    settings = {"networks": networks, "iterations": 5}
    small = make(method, real, 2, compute=Compute(cuda, compile=compile), **settings)
    assert torch.allclose(small.images, make(method, real, 2, **settings).images, atol=1e-3)


def test_fused_augmentation_is_the_same_to_rounding_on_cuda(cuda):
    images, lines = torch.rand(30, 4, 3, 32, 32, generator=generator(0)).to(cuda), []
    drawn = draw([generator(k) for k in range(30)], OPERATIONS).to(images)
    fused = fused_augment(OPERATIONS, images.shape, cuda, lines.append)
    assert not lines and fused is not augment
    assert torch.allclose(fused(images, drawn), augment(images, drawn), atol=1e-4)


@pytest.mark.parametrize("cutmix", [0.0, 1.0])
@pytest.mark.parametrize("sizes", [(20, 20), (20, 12)])
def test_a_captured_training_is_the_usual_one(sizes, cutmix, cuda):
    """Also where an epoch ends with a smaller mini-batch, and where the rate falls."""
    count, batch = sizes
    images = torch.rand(count, 3, 16, 16, generator=generator(0)).to(cuda)
    labels, trained = torch.arange(count, device=cuda) % 4, []
    recipe = Recipe(epochs=6, batch=batch, rate=0.05, operations=OPERATIONS, cutmix=cutmix)
    for compile in ("never", "auto"):
        compute = Compute(cuda, compile=compile)
        streams = [generator(k) for k in (0, 1)]
        networks = build_many(parse("convnet-d2-w16"), (3, 16, 16), classes=4, generators=streams)
        networks = [network.to(cuda) for network in networks]
        assert (captured(Stack(networks), cuda, compute) is None) == (compile == "never")
        train.fit(networks, images, labels, recipe=recipe, seed=0, compute=compute)
        trained.append(torch.cat([p.detach().flatten() for n in networks for p in n.parameters()]))
    assert torch.allclose(*trained, atol=1e-3)


def test_a_device_may_be_named_without_its_number(digits, make):
    compute = Compute.of("cuda", digits.train.shape)
    compute.enter()
    assert make("dm", digits.train.only([1, 7]), 1, compute=compute).images.isfinite().all()


@pytest.mark.parametrize("method", ["herding", "kcenter", "dc", "dsa", "trained", "forgetting"])
def test_every_other_method_runs_on_cuda(digits, make, method, cuda):
    small = make(method, digits.train.only([1, 7]), 2, device=cuda)
    assert small.images.device.type == "cpu" and small.images.isfinite().all()


@pytest.mark.parametrize("method", ["datadam", "dsa", "trained"])
def test_deterministic_gives_the_same_bits_twice(digits, make, method, cuda):
    real = digits.train.only([1, 7])
    compute = Compute(cuda, deterministic=True)
    compute.enter()
    try:
        sets = [make(method, real, 2, compute=compute) for _ in range(2)]
    finally:
        Compute().enter()
    assert sets[0].digest() == sets[1].digest()


def test_a_run_on_cuda_that_is_broken_off_goes_on(digits, make, tmp_path, cuda):
    real, settings = digits.train.only([1, 7]), {"networks": 0}
    first = make("datadam", real, 2, device=cuda, store=Store(tmp_path), iterations=3, **settings)
    longer = make("datadam", real, 2, device=cuda, store=Store(tmp_path), iterations=6, **settings)
    afresh = make("datadam", real, 2, device=cuda, iterations=6, **settings)
    assert not torch.equal(first.images, longer.images)
    assert torch.allclose(longer.images, afresh.images, atol=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("compile", ["never", "always"])
def test_networks_learn_on_cuda_as_they_do_on_the_cpu(digits, precision, compile, cuda):
    real, right = digits.train, []
    images, labels = real.normalisation(real.images), real.labels
    recipe = dataclasses.replace(named("dm", real.about), epochs=20)
    for device in (torch.device("cpu"), cuda):
        compute = Compute(device, None, precision, compile)
        networks = build_many(
            parse("convnet-d2-w32"),
            real.shape,
            classes=10,
            generators=[generator(k) for k in (0, 1)],
        )
        networks = [network.to(device) for network in networks]
        x, y = images.to(device), labels.to(device)
        train.fit(networks, x, y, recipe=recipe, seed=0, compute=compute)
        right.append(train.accuracy(networks, x, y, compute=compute).mean())
    assert right[0] > 0.6 and abs(right[0] - right[1]) < 0.05
