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
from distill.recipes import Recipe
from distill.runtime.compute import Compute
from distill.runtime.seeding import generator
from distill.runtime.store import Store
from downstream.continual.protocol import Protocol
from downstream.nas import proxy, trial

aten = torch.ops.aten
CPU, GPU = torch.device("cpu"), torch.device("meta")
MOVES = {aten.copy_.default, aten._to_copy.default}
INDICES = {aten.index.Tensor: 1, aten.index_put.default: 1}
"""Operations that take indices from the CPU too, and the place of that argument."""


class OnGpu(Tensor):
    """A tensor of the make-believe device; `held` is its content, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held):
        wrapper = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device=GPU
        )
        wrapper.held = held
        return wrapper

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
    on_gpu = any(isinstance(t, OnGpu) for t in tree_leaves([args, kwargs]))
    if kwargs.get("device") is not None:
        on_gpu = torch.device(kwargs["device"]) == GPU
        kwargs = {**kwargs, "device": CPU}
    held_args, held_kwargs = tree_map(lambda t: getattr(t, "held", t), (args, kwargs))
    result = function(*held_args, **held_kwargs)
    if function._schema.is_mutable and result is held_args[0]:
        return args[0]
    return tree_map(lambda t: OnGpu(t) if on_gpu and isinstance(t, Tensor) else t, result)


@pytest.fixture
def gpu(monkeypatch):
    """The make-believe GPU; while it is asked for, tensors can be on it."""
    tensor, sgd = torch.tensor, torch.optim.SGD
    # Both would leave Python before anything is told of them.
    monkeypatch.setattr(
        torch, "tensor", lambda data, device=CPU, **kwargs: tensor(data, **kwargs).to(device)
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
    ones = torch.ones(2, 2).to(gpu)
    assert ones.device == gpu and (ones + 1).sum().item() == 8
    with pytest.raises(AssertionError, match="two devices"):
        ones + torch.ones(2, 2)


@pytest.mark.parametrize("networks", [0, 2])
@pytest.mark.parametrize("method", ["dm", "datadam", "herding"])
def test_a_set_made_on_a_gpu_is_the_one_made_on_the_cpu(gpu, digits, make, method, networks):
    real = whitened(Data(*(half.only([1, 7]) for half in digits))).train
    settings = {"networks": networks or 1} if method == "herding" else {"networks": networks}
    small = make(method, real, 2, device=gpu, **settings)
    assert small.images.device == CPU and small.labels.device == CPU
    assert torch.allclose(small.images, make(method, real, 2, **settings).images, atol=1e-5)


@pytest.mark.parametrize("whiten", [False, True])
def test_a_formed_set_made_on_a_gpu_is_the_one_made_on_the_cpu(gpu, digits, make, whiten):
    halves = Data(*(half.only([1, 7]) for half in digits))
    real = (whitened(halves) if whiten else halves).train
    settings = {"formation": 2, "schedule": "linear", "averaged": 0.5}
    small = make("datadam", real, 2, device=gpu, **settings)
    assert torch.allclose(small.images, make("datadam", real, 2, **settings).images, atol=1e-5)


def test_a_set_made_on_a_gpu_is_found_again_on_the_cpu(gpu, digits, make, tmp_path):
    folder, part = Store(tmp_path), digits.train.only([1, 7])
    small = make("dm", part, 1, device=gpu, store=folder)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = make("dm", part, 1, store=folder)
    assert again.digest() == small.digest() and len(times) == 2
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times


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
        moved = images.to(device)
        recipe = Recipe(epochs=2, batch=64, rate=0.1)
        train.fit(networks, moved, labels.to(device), recipe=recipe, seed=0)
        right.append(train.accuracy(networks, moved, labels))
    assert torch.equal(*right) and right[0].min() > 0.2


@pytest.mark.parametrize("strategy", ["retrain", "replay"])
def test_a_continual_run_on_a_gpu_is_the_one_on_the_cpu(gpu, digits, make, strategy):
    from downstream.continual.run import run_order  # imports Avalanche

    protocol = Protocol(
        steps=2,
        strategy=strategy,
        network="convnet-d2-w8",
        networks=2,
        recipe=Recipe(epochs=1),
        seed=0,
        orders=1,
        sets=1,
    )
    results = [
        run_order(
            digits,
            lambda real, device=device: make("dm", real, 2, device=device),
            ipc=2,
            protocol=protocol,
            order=0,
            compute=Compute(device),
        )
        for device in (CPU, gpu)
    ]
    assert results[0] == results[1]


def test_a_trial_on_a_gpu_is_the_one_on_the_cpu(gpu, digits):
    outcomes = []
    for device in (CPU, gpu):
        whole = proxy.whole_settings(
            digits,
            dataset="digits",
            image_size=None,
            root=Path("nowhere"),
            recipe=Recipe(epochs=1, rate=0.1),
            compute=Compute(device),
        )
        job = trial.job(whole, digits, None)
        network = build_many(
            parse("convnet-d2-w8"), (1, 8, 8), classes=10, generators=[generator(0)]
        )
        outcomes.append(trial.evaluate(*network, job))
    assert outcomes[0]["status"] == "trained", outcomes[0]["reason"]
    assert outcomes[0]["looks"] == outcomes[1]["looks"]
