"""What runs on a GPU, where there is none: on a make-believe device.

Its tensors live on the CPU but say that they are elsewhere, and refuse what a GPU refuses: to be
computed with the CPU's in one operation. torch's device `meta` stands for it, the only one that
needs no driver. Figures must come out as on the CPU; the shapes of memory and the speed of a real
GPU are not tested here.
"""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from distill.augment import OPERATIONS, augment, draw
from distill.images import Data
from distill.networks import build_many, parse
from distill.runtime import registry
from distill.runtime.compute import Compute
from distill.runtime.seeding import generator
from distill.runtime.store import Store
from distill.training import train
from distill.training.recipes import Recipe
from distill.whitening import whitened
from downstream.continual.protocol import Protocol
from downstream.nas import proxy, trial

aten = torch.ops.aten
CPU, GPU = torch.device("cpu"), torch.device("meta")
MOVES = {aten.copy_.default, aten._to_copy.default}
INDICES = {aten.index.Tensor: 1, aten.index_put.default: 1, aten.index_put_.default: 1}
"""Operations that take indices from the CPU too, and the place of that argument."""


USED: set[str] = set()
"""What the make-believe device was asked to do: `aten.median.dim`, and `aten.median`."""


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
    USED.update([str(function), str(function.overloadpacket)] if on_gpu else [])
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


# ------------------------------------------------------------------ the same as on the CPU


@pytest.mark.parametrize("networks", [0, 2])
@pytest.mark.parametrize("method", ["dm", "datadam", "herding"])
def test_a_set_made_on_a_gpu_is_the_one_made_on_the_cpu(gpu, digits, make, method, networks):
    real = whitened(Data(*(half.only([1, 7]) for half in digits))).train
    settings = {"networks": networks or 1} if method == "herding" else {"networks": networks}
    small = make(method, real, 2, device=gpu, **settings)
    assert small.images.device == CPU and small.labels.device == CPU
    assert torch.allclose(small.images, make(method, real, 2, **settings).images, atol=1e-5)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("sizes", [(5, 40), (7, 7), (40, 40), (20, 120)])
def test_classes_that_share_a_piece_may_be_of_any_size(gpu, digits, make, sizes, whiten):
    """Also where the smaller is whitened once, and the larger when its images are drawn."""
    part = (whitened(digits) if whiten else digits).train.only([1, 7])
    kept = [(part.labels == label).nonzero()[:n, 0] for label, n in zip((1, 7), sizes, strict=True)]
    chosen = torch.cat(kept)
    images, labels = part.images[chosen], part.labels[chosen]
    real = dataclasses.replace(part, images=images, labels=labels, positions=None)
    settings = {"networks": 4, "real_batch": 16}
    small = make("datadam", real, 2, device=gpu, **settings)
    assert torch.allclose(small.images, make("datadam", real, 2, **settings).images, atol=1e-5)


def test_float32_is_not_tf32():
    torch.backends.cudnn.allow_tf32 = True
    Compute().enter()
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("whiten", [False, True])
def test_a_formed_set_made_on_a_gpu_is_the_one_made_on_the_cpu(gpu, digits, make, whiten):
    halves = Data(*(half.only([1, 7]) for half in digits))
    real = (whitened(halves) if whiten else halves).train
    # Few steps: each amplifies rounding, which differs from processor to processor.
    settings = {"formation": 2, "schedule": "linear", "averaged": 0.5, "iterations": 3}
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


# ------------------------------------------------------------------ the same bits twice

ON_CUDA = {
    "torch.nn.AvgPool3d": ["avg_pool3d_backward"],
    "torch.nn.AdaptiveAvgPool2d": ["_adaptive_avg_pool2d_backward"],
    "torch.nn.AdaptiveAvgPool3d": ["_adaptive_avg_pool3d_backward"],
    "torch.nn.MaxPool3d": ["max_pool3d_with_indices_backward"],
    "torch.nn.AdaptiveMaxPool2d": ["adaptive_max_pool2d_backward"],
    "torch.nn.FractionalMaxPool2d": ["fractional_max_pool2d_backward"],
    "torch.nn.FractionalMaxPool3d": ["fractional_max_pool3d_backward"],
    "torch.nn.MaxUnpool1d": ["max_unpool2d"],
    "torch.nn.MaxUnpool2d": ["max_unpool2d"],
    "torch.nn.MaxUnpool3d": ["max_unpool3d"],
    "torch.nn.functional.interpolate": [
        "upsample_linear1d_backward",
        "upsample_bilinear2d_backward",
        "upsample_bicubic2d_backward",
        "upsample_trilinear3d_backward",
    ],
    "torch.nn.ReflectionPad1d": ["reflection_pad1d_backward"],
    "torch.nn.ReflectionPad2d": ["reflection_pad2d_backward"],
    "torch.nn.ReflectionPad3d": ["reflection_pad3d_backward"],
    "torch.nn.NLLLoss": ["nll_loss2d_forward"],  # the loss of rows is a sum in a fixed order
    "torch.nn.CTCLoss": ["_ctc_loss_backward"],
    "torch.nn.EmbeddingBag": ["_embedding_bag_backward", "_embedding_bag_dense_backward"],
    "torch.Tensor.put_": ["put_", "put"],
    "torch.histc": ["histc"],
    "torch.bincount": ["bincount"],
    "torch.median": ["median.dim", "median.dim_values"],
    "torch.nn.functional.grid_sample": ["grid_sampler_2d_backward", "grid_sampler_3d_backward"],
    "torch.cumsum": ["cumsum", "cumsum_"],
    "torch.Tensor.scatter_reduce": ["scatter_reduce", "scatter_reduce_"],
    "torch.Tensor.resize_": [],  # of quantised tensors, of which there are none
}
"""What has no deterministic way on CUDA, as torch's documentation names it, and the operations."""
REFUSED = {f"aten.{name}" for names in ON_CUDA.values() for name in names}


@pytest.fixture
def strict(gpu, monkeypatch):
    """The make-believe GPU, which is to use nothing that has no deterministic way on CUDA."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    compute = Compute(gpu, deterministic=True)
    compute.enter()
    USED.clear()
    yield compute
    Compute().enter()
    assert USED and not USED & REFUSED


def test_what_is_refused_is_what_torch_documents():
    text = torch.use_deterministic_algorithms.__doc__
    text = text.split("In addition")[0].rpartition("will throw a")[2]
    named = {*re.findall(r":(?:class|func):`(torch[\w.]+)`", text)}
    assert named <= ON_CUDA.keys() and len(named) > 20


def test_the_usual_way_is_noticed(gpu):
    USED.clear()
    images = torch.rand(2, 1, 4, 4).to(gpu).requires_grad_()
    F.interpolate(images, (8, 8), mode="bilinear").sum().backward()
    assert USED & REFUSED


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
def test_augmentation_has_a_deterministic_way_and_the_same_gradient(strict, operation, size):
    """With a draw for a group and with one for each image."""
    images, weight = (
        torch.rand(2, 5, 3, *size, generator=torch.Generator().manual_seed(k)) for k in range(2)
    )
    for count in (1, 5):
        drawn = draw([generator(k) for k in range(2)], [operation], images=count)
        results = []
        for device in (CPU, strict.device):
            leaf = images.to(device).requires_grad_()
            shown = augment(leaf, drawn.to(leaf))
            (gradient,) = torch.autograd.grad((shown * weight.to(device)).sum(), leaf)
            results.append((shown.detach().cpu(), gradient.cpu()))
        for on_cpu, on_gpu in zip(*results, strict=True):
            assert torch.allclose(on_cpu, on_gpu, atol=1e-5)
    assert ("aten.gather" in USED) == (operation in ("crop", "scale", "rotate"))


METHODS = [
    ("herding", {}),
    ("kcenter", {}),
    ("forgetting", {}),
    ("trained", {"formation": 2}),
    # A group norm that is differentiated twice reshapes a tensor in place, unseen by the wrapper.
    ("dc", {"network": "convnet-d1-w8-layer-swish-max"}),
    ("dsa", {"network": "convnet-d2-w8-layer", "inner_loop": 2, "formation": 2}),
    ("dm", {"networks": 0, "network": "convnet-d2-w8-batch-relu-max"}),
    ("datadam", {"networks": 0}),
    ("datadam", {"formation": 2, "start": "herding"}),
]


@pytest.mark.parametrize(("method", "changes"), METHODS)
def test_every_method_has_a_deterministic_way(strict, digits, make, method, changes):
    assert {name for name, _ in METHODS} == {*registry.names("distill.methods")} - {"random"}
    real = digits.train.only([1, 7])
    small = make(method, real, 2, compute=strict, **changes)
    assert torch.allclose(small.images, make(method, real, 2, **changes).images, atol=1e-5)


NETWORKS = [
    "convnet-d2-w8-batch-relu-max",
    "convnet-d2-w8-layer-sigmoid-avg",
    "convnet-d2-w8-group-leakyrelu-nopool",
    "alexnet",
    "vgg11",
    "resnet10",
    "vit-d1-w16-h2",
]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_deterministic_way_to_be_trained_and_judged(strict, name):
    """With CutMix and without, after DSA."""
    images = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    images, labels = images.to(strict.device), torch.arange(6)
    networks = build_many(parse(name), (1, 28, 28), classes=6, generators=[generator(0)])
    networks = [network.to(strict.device) for network in networks]
    for cutmix in (0.0, 1.0):
        recipe = Recipe(epochs=2, batch=3, rate=1e-3, cutmix=cutmix, operations=OPERATIONS)
        given = {"recipe": recipe, "seed": 0, "compute": strict}
        train.fit(networks, images, labels.to(strict.device), **given)
    train.accuracy(networks, images, labels, compute=strict)
