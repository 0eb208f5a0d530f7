"""The floor: the convolutions of a step and nothing else.

The same layers as in the engine, on as many images at a time, forward and, where the engine needs
it, back; no norm, activation, pooling, augmentation or optimiser.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cost.work import Pieces, Shape
from distill.architectures.convnet import Spec
from distill.runtime.seeding import generator


class Layer(NamedTuple):
    """A 3x3 convolution: channels in and out, and the pixels of its maps."""

    inputs: int
    outputs: int
    height: int
    width: int


def layers(spec: Spec, shape: Shape) -> list[Layer]:
    """The convolutions of a ConvNet on images of `shape`."""
    channels, height, width = shape
    own = []
    for _ in range(spec.depth):
        own.append(Layer(channels, spec.width, height, width))
        channels = spec.width
        if spec.pooling != "none" and min(height, width) >= 2:
            height, width = height // 2, width // 2
    return own


def multiply_adds(spec: Spec, shape: Shape, images: int) -> int:
    """Of the convolutions, forward; back to their input takes as many again."""
    return images * sum(9 * math.prod(layer) for layer in layers(spec, shape))


def moved(spec: Spec, shape: Shape, images: int) -> int:
    """Bytes of the activations in float32, each block's written and read once."""
    maps = sum(layer.outputs * layer.height * layer.width for layer in layers(spec, shape))
    return 2 * 4 * maps * images


class Convolution:
    """One layer on random numbers, for batches of the sizes given.

    With `groups` it is that many networks side by side, as in `distill.stack.Grouped`.
    """

    def __init__(
        self, layer: Layer, batches: Iterable[int], *, device: torch.device, groups: int = 1
    ) -> None:
        self.groups = groups
        self.weight = _random(groups * layer.outputs, layer.inputs, 3, 3).to(device)
        self.bias = _random(groups * layer.outputs).to(device)
        pixels = layer.height, layer.width
        self.inputs = {n: _random(n, groups * layer.inputs, *pixels).to(device) for n in batches}
        self.gradients = {
            n: _random(n, groups * layer.outputs, *pixels).to(device) for n in self.inputs
        }

    def forward(self, batch: int) -> Tensor:
        """For `batch` images."""
        return F.conv2d(self.inputs[batch], self.weight, self.bias, padding=1, groups=self.groups)

    def both(self, batch: int, *, weights: bool, images: bool) -> None:
        """Forward and back: to the weights, to the layer's input, or to both."""
        self.weight.requires_grad_(weights)
        self.bias.requires_grad_(weights)
        self.inputs[batch].requires_grad_(images)
        wanted = [self.inputs[batch]] if images else []
        wanted += [self.weight, self.bias] if weights else []
        torch.autograd.grad(self.forward(batch), wanted, self.gradients[batch])


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(0, "floor", *shape))


def matching(
    spec: Spec, shape: Shape, pieces: Pieces, device: torch.device
) -> Callable[[], object]:
    """Of a matching step: real images forward, synthetic images forward and back to the pixels."""
    batches = {*pieces.real, *pieces.synthetic}
    own = [Convolution(layer, batches, device=device) for layer in layers(spec, shape)]

    def work() -> None:
        with torch.no_grad():
            for batch in pieces.real:
                for convolution in own:
                    convolution.forward(batch)
        for batch in pieces.synthetic:
            for convolution in own:
                convolution.both(batch, weights=False, images=True)

    return work


def training(
    spec: Spec, shape: Shape, batch: int, device: torch.device, *, networks: int, grouped: bool
) -> Callable[[], object]:
    """Of a training step of several networks on `batch` images each.

    Forward, back to the weights and, but for the first layer, back to the input; side by side in
    grouped convolutions or one network after the other.
    """
    groups = networks if grouped else 1
    own = [
        Convolution(layer, [batch], device=device, groups=groups) for layer in layers(spec, shape)
    ]

    def work() -> None:
        for _ in range(networks // groups):
            for place, convolution in enumerate(own):
                convolution.both(batch, weights=True, images=place > 0)

    return work
