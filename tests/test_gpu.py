"""What runs on a GPU, where there is none: on a make-believe device.

Its tensors live on the CPU but say that they are elsewhere, and refuse what a GPU refuses: to be
computed with the CPU's in one operation. torch's device `meta` stands for it, the only one that
needs no driver. Figures must come out as on the CPU; the shapes of memory and the speed of a real
GPU are not tested here.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from distill import train
from distill.images import Data, whitened
from distill.networks import build_many, parse
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.train import Recipe
from downstream import continual, proxy, trial
from downstream.continual.protocol import Protocol

from conftest import CPU

aten = torch.ops.aten
GPU = torch.device("meta")
MOVES = {aten.copy_.default, aten._to_copy.default}
INDICES = {aten.index.Tensor: 1, aten.index_put.default: 1}
"""Operations that take indices from the CPU too, and the place of that argument."""


class OnGpu(Tensor):
    """A tensor of the make-believe device; `held` is its content, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held):
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device=GPU
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})


class MakeBelieve(TorchDispatchMode):
    """Sees the operations that make tensors too."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})


def compute(function, args, kwargs):
    """Do `function` on the CPU; the result is where a GPU would have it."""
    if function is aten._has_compatible_shallow_copy_type.default:
        return False  # a parameter that is moved becomes a new one
    strict = [a for place, a in enumerate(args) if place != INDICES.get(function)]
    tensors = [t for t in tree_leaves([strict, kwargs]) if isinstance(t, Tensor) and t.dim()]
    if len({isinstance(t, OnGpu) for t in tensors}) == 2 and function not in MOVES:
        raise AssertionError(f"{function} of tensors on two devices")
    there = any(isinstance(t, OnGpu) for t in tree_leaves([args, kwargs]))
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]) == GPU
        kwargs = {**kwargs, "device": CPU}
    held_args, held_kwargs = tree_map(lambda t: getattr(t, "held", t), (args, kwargs))
    found = function(*held_args, **held_kwargs)
    if function._schema.is_mutable and found is held_args[0]:
        return args[0]
    return tree_map(lambda t: OnGpu(t) if there and isinstance(t, Tensor) else t, found)


@pytest.fixture
def gpu(monkeypatch):
    """The make-believe GPU; while it is asked for, tensors can be on it."""
    made, sgd = torch.tensor, torch.optim.SGD
    # Both would leave Python before anything is told of them.
    monkeypatch.setattr(
        torch, "tensor", lambda data, device=CPU, **kwargs: made(data, **kwargs).to(device)
    )
    monkeypatch.setattr(
        torch.optim, "SGD", lambda *args, fused=False, **kwargs: sgd(*args, **kwargs)
    )
    # Views of tensors made in inference mode cannot be wrapped.
    monkeypatch.setattr(torch.inference_mode, "__enter__", torch.no_grad.__enter__)
    monkeypatch.setattr(torch.inference_mode, "__exit__", torch.no_grad.__exit__)
    with MakeBelieve():
        yield GPU


def test_the_make_believe_gpu_refuses_what_a_gpu_refuses(gpu):
    there = torch.ones(2, 2).to(gpu)
    assert there.device == gpu and (there + 1).sum().item() == 8
    with pytest.raises(AssertionError, match="two devices"):
        there + torch.ones(2, 2)


@pytest.mark.parametrize("networks", [0, 2])
@pytest.mark.parametrize("method", ["dm", "datadam", "herding"])
def test_a_set_made_on_a_gpu_is_the_one_made_on_the_cpu(gpu, digits, distil, method, networks):
    real = whitened(Data(*(half.only([1, 7]) for half in digits))).train
    settings = {"networks": networks or 1} if method == "herding" else {"networks": networks}
    there = distil(method, real, 2, device=gpu, **settings)
    assert there.images.device == CPU and there.labels.device == CPU
    assert torch.allclose(there.images, distil(method, real, 2, **settings).images, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_networks_trained_on_a_gpu_are_those_trained_on_the_cpu(gpu, digits, norm):
    real = digits.test
    images, labels = real.normalisation(real.images), real.labels
    right = []
    for device in (CPU, gpu):
        networks = build_many(
            parse(f"convnet-d2-w8-{norm}"),
            real.shape,
            classes=10,
            generators=[generator(k) for k in range(2)],
        )
        networks = [network.to(device) for network in networks]
        there = images.to(device)
        recipe = Recipe(epochs=2, batch=64, rate=0.1)
        train.fit(networks, there, labels.to(device), recipe=recipe, seed=0)
        right.append(train.accuracy(networks, there, labels))
    assert torch.equal(*right) and right[0].min() > 0.2


@pytest.mark.parametrize("strategy", ["retrain", "replay"])
def test_a_continual_run_on_a_gpu_is_the_one_on_the_cpu(gpu, digits, distil, strategy):
    matrices = []
    for device in (CPU, gpu):
        found = continual.run_order(
            digits,
            lambda real, device=device: distil("dm", real, 2, device=device),
            ipc=2,
            protocol=Protocol(2, 1, strategy, 2, "convnet-d2-w8", Recipe(epochs=1), seed=0),
            order=0,
            device=device,
            progress=Progress(),
        )
        matrices.append(found.matrices)
    assert matrices[0] == matrices[1]


def test_a_trial_on_a_gpu_is_the_one_on_the_cpu(gpu, digits):
    found = []
    for device in (CPU, gpu):
        whole = proxy.whole_settings(
            digits,
            dataset="digits",
            image_size=None,
            root=Path("nowhere"),
            recipe=Recipe(epochs=1, rate=0.1),
            device=device,
        )
        job = trial.job(whole, digits, None)
        network = build_many(
            parse("convnet-d2-w8"), (1, 8, 8), classes=10, generators=[generator(0)]
        )
        found.append(trial.evaluate(*network, job))
    assert found[0]["status"] == "trained", found[0]["reason"]
    assert found[0]["looks"] == found[1]["looks"]
