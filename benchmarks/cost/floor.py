"""The floor: the convolutions of a step and nothing else.

The same layers as in the engine, on as many images at a time, forward and, where the engine needs
it, back; no norm, activation, pooling, augmentation or optimiser.
"""

import math
from collections.abc import Callable
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


def matching(
    spec: Spec, shape: Shape, pieces: Pieces, device: torch.device
) -> Callable[[], object]:
    """Of a matching step: real images forward, synthetic images forward and back to the pixels."""
    forward, both = [], []
    for layer in layers(spec, shape):
        weights = _random(layer.outputs, layer.inputs, 3, 3, device=device), _random(
            layer.outputs, device=device
        )
        inputs = {n: _maps(n, layer, device) for n in {*pieces.real, *pieces.synthetic}}
        forward.append((inputs, weights))
        gradients = {n: torch.ones(n, *_outputs(layer), device=device) for n in pieces.synthetic}
        both.append((inputs, weights, gradients))
    return lambda: _match(pieces, forward, both)
