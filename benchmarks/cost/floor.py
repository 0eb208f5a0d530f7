"""The floor: the convolutions of a step and nothing else.

The same layers as the network's, on as many images at a time as the suite passes through it,
forward and, where the step needs it, back; no norm, activation, pooling, augmentation, optimiser or
autograd. Each runs in the fastest layout and, at a lower precision, the faster precision.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.cost.clock import take_turns, timed
from distill.runtime.compute import BFLOAT16, FLOAT32, Compute
from distill.runtime.seeding import generator

PLAIN, LAST, PACKED = "contiguous", "channels last", "packed weights"
LAYOUTS = (PLAIN, LAST, PACKED)
"""PACKED: weights laid out beforehand for the CPU's library; forward alone."""
TYPES = {FLOAT32: torch.float32, BFLOAT16: torch.bfloat16}
TRIES = 3
"""How often each layout is timed before the fastest is chosen."""

Work = Callable[[], object]


class Convolution(NamedTuple):
    """A convolution of a network.

    Attributes:
        inputs: [C, H, W] that it is given. weight: [O, C / groups, h, w].
        stride, padding, dilation: down and across.
    """

    inputs: tuple[int, ...]
    weight: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1

    def grouped(self, count: int) -> "Convolution":
        """So many side by side, as in `distill.training.stack.Grouped`."""
        inputs, weight = (count * self.inputs[0], *self.inputs[1:]), self.weight
        return self._replace(
            inputs=inputs, weight=(count * weight[0], *weight[1:]), groups=count * self.groups
        )


class PieceCounts(NamedTuple):
    """How many images pass through a network at a time, and how often in one step.

    Attributes:
        forward: of pieces that only go forward, by their number of images. both: that go back too.
    """

    forward: Mapping[int, int]
    both: Mapping[int, int]


class Task(NamedTuple):
    """A layer on so many images; gradients: of its input, its weights, its bias."""

    layer: Convolution
    images: int
    gradients: tuple[bool, bool, bool] = (False, False, False)

    @property
    def flops(self) -> int:
        """A multiply-add counts as two; a gradient takes as many as the way forward."""
        layer = self.layer
        image, weight = (
            torch.empty(shape, device="meta") for shape in ((1, *layer.inputs), layer.weight)
        )
        how = layer.stride, layer.padding, layer.dilation, layer.groups
        maps = torch.conv2d(image, weight, None, *how)
        ways = 1 + sum(self.gradients[:2])
        return 2 * ways * self.images * maps.numel() * weight[0].numel()


PIXELS = (True, False, False)
"""Back to the input alone."""


@torch.no_grad()
def layers(network: nn.Module, shape: Sequence[int]) -> list[Convolution]:
    """The convolutions that a network runs on images of `shape` (C, H, W), in their order."""
    own: list[Convolution] = []

    def note(module: nn.Conv2d, given: tuple[Tensor], output: Tensor) -> None:
        inputs, weight = tuple(given[0].shape[1:]), tuple(module.weight.shape)
        how = module.stride, module.padding, module.dilation, module.groups
        own.append(Convolution(inputs, weight, *how))

    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(note) for module in convolutions]
    try:
        network(torch.zeros(2, *shape).to(next(network.parameters())))
    finally:
        for hook in hooks:
            hook.remove()
    return own


class _Seen(TorchDispatchMode):
    """Counts convolutions by how many images they are given, forward and back."""

    def __init__(self) -> None:
        super().__init__()
        self.forward, self.back = Counter[int](), Counter[int]()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        if func is torch.ops.aten.convolution.default:
            self.forward[len(args[0])] += 1
        if func is torch.ops.aten.convolution_backward.default:
            self.back[len(args[1])] += 1
        return func(*args, **(kwargs or {}))


def pieces(work: Work, layers: int) -> PieceCounts:
    """Those of a step that is not compiled, noted while it runs.

    Args:
        layers: that each piece passes through, on whatever network.
    """
    with _Seen() as seen:
        work()
    passes = Counter[int](), Counter[int]()
    for count, counted in zip(passes, (seen.forward - seen.back, seen.back), strict=True):
        for images, times in counted.items():
            assert times % layers == 0, "a piece passes through every layer"
            count[images] = times // layers
    return PieceCounts(*passes)


@dataclasses.dataclass(frozen=True)
class Floor:
    """The convolutions of one step, to be called.

    Attributes:
        passes: how often, and those of one piece from the first layer to the last.
        flops: of all of them; a multiply-add counts as two.
    """

    passes: Sequence[tuple[int, Sequence[Work]]]
    flops: int

    def __call__(self) -> None:
        """Run them."""
        for times, works in self.passes:
            for _ in range(times):
                for work in works:
                    work()


def matching(layers: Sequence[Convolution], pieces: PieceCounts, compute: Compute) -> Floor:
    """Of a matching step: real images forward, synthetic images forward and back to the pixels."""
    forward = [Task(layer, images) for images in pieces.forward for layer in layers]
    both = [Task(layer, images, PIXELS) for images in pieces.both for layer in layers]
    return _floor([*forward, *both], pieces, compute)


def training(layers: Sequence[Convolution], pieces: PieceCounts, compute: Compute) -> Floor:
    """Of a training step: forward, back to the weights and, but for the first layer, to the input.

    Args:
        layers: grouped where several networks are trained side by side.
        pieces: of all networks where they come one after the other.
    """
    assert not pieces.forward, "in training all go back"
    tasks = [
        Task(layer, images, (place > 0, True, True))
        for images in pieces.both
        for place, layer in enumerate(layers)
    ]
    return _floor(tasks, pieces, compute)


def _floor(tasks: Sequence[Task], pieces: PieceCounts, compute: Compute) -> Floor:
    """Of the tasks of every size of pieces, in the order of `pieces`."""
    times = [*pieces.forward.values(), *pieces.both.values()]
    layers = len(tasks) // len(times)
    passes, flops = [], 0
    for number, count in enumerate(times):
        own = tasks[number * layers : (number + 1) * layers]
        passes.append((count, [fastest(task, compute) for task in own]))
        flops += count * sum(task.flops for task in own)
    return Floor(passes, flops)


def fastest(task: Task, compute: Compute) -> Work:
    """A convolution in the layout and precision in which it is fastest here and now."""
    types = [torch.float32, *{TYPES[compute.precision]} - {torch.float32}]
    works = [
        convolution(task, layout, kind, compute.device)
        for layout in LAYOUTS
        for kind in types
        if layout != PACKED or _packs(task, kind, compute.device)
    ]
    times = take_turns([timed(work) for work in works], TRIES)
    return min(zip(times, works, strict=True), key=lambda pair: min(pair[0]))[1]


def _packs(task: Task, kind: torch.dtype, device: torch.device) -> bool:
    """Whether weights can be packed."""
    if any(task.gradients) or device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return kind == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def convolution(task: Task, layout: str, kind: torch.dtype, device: torch.device) -> Work:
    """A layer on random numbers: forward, and back to the gradients that are asked for."""
    layer = task.layer
    dense = torch.contiguous_format if layout == PLAIN else torch.channels_last
    images = _random(task.images, *layer.inputs).to(device, kind, memory_format=dense)
    weight = _random(*layer.weight).to(device, kind, memory_format=dense)
    bias = _random(len(weight)).to(device, kind)
    stride, padding, dilation = map(list, (layer.stride, layer.padding, layer.dilation))
    if layout == PACKED:
        how = padding, stride, dilation, layer.groups
        packed = torch._C._nn.mkldnn_reorder_conv2d_weight(
            weight.to_mkldnn(), *how, list(images.shape)
        )
        pointwise = torch.ops.mkldnn._convolution_pointwise
        return functools.partial(pointwise, images, packed, bias, *how, "none", [], "")
    how = stride, padding, dilation, False, [0, 0], layer.groups
    forward = functools.partial(torch.convolution, images, weight, bias, *how)
    if not any(task.gradients):
        return forward
    mask = list(task.gradients)
    gradient = forward()  # random numbers, in the layout that the convolution gives

    def both() -> None:
        forward()
        torch.ops.aten.convolution_backward(gradient, images, weight, [len(weight)], *how, mask)

    return both


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(0, "floor", *shape))
