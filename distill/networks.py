"""ConvNet, the network of the field, built by name from a small specification."""

import dataclasses
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from distill.mistake import Mistake, unknown
from distill.pooling import AveragePool

NORMS = ("none", "batch", "layer", "instance", "group")
ACTIVATIONS = {
    "sigmoid": nn.Sigmoid,
    "relu": lambda: nn.ReLU(inplace=True),
    "leakyrelu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "swish": nn.SiLU,
}
"""In place where that is possible: nothing else reads what they are given."""
POOLINGS = {
    "none": nn.Identity,
    "max": lambda: nn.MaxPool2d(2),
    "avg": AveragePool,
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """One ConvNet of the family (the axes of the paper's architecture search).

    Its name lists what it is made of, e.g. `convnet-d3-w128-instance-relu-avg`; `nonorm` and
    `nopool` stand for no normalisation and no pooling.
    """

    depth: int = 3
    width: int = 128
    norm: str = "instance"
    activation: str = "relu"
    pooling: str = "avg"

    def __str__(self) -> str:
        norm = "nonorm" if self.norm == "none" else self.norm
        pooling = "nopool" if self.pooling == "none" else self.pooling
        return f"convnet-d{self.depth}-w{self.width}-{norm}-{self.activation}-{pooling}"


def parse(name: str) -> Spec:
    """`convnet` followed by any parts in any order; what is left out is as in the paper.

    Raises:
        Mistake: not a ConvNet, an unknown part, or a width that group norm cannot divide by 4.
    """
    words: dict[str, tuple[str, str]] = {n: ("norm", n) for n in NORMS[1:]} | {
        "nonorm": ("norm", "none"),
        "nopool": ("pooling", "none"),
    }
    words |= {a: ("activation", a) for a in ACTIVATIONS}
    words |= {p: ("pooling", p) for p in POOLINGS if p != "none"}
    family, *parts = name.split("-")
    if family != "convnet":
        raise unknown("network", name, ["convnet", str(Spec())])
    chosen: dict[str, int | str] = {}
    for part in parts:
        if part[:1] in ("d", "w") and part[1:].isdigit() and int(part[1:]) > 0:
            axis, value = {"d": "depth", "w": "width"}[part[0]], int(part[1:])
        elif part in words:
            axis, value = words[part]
        else:
            raise unknown(f"part in network '{name}'", part, ["d<depth>", "w<width>", *words])
        if axis in chosen:
            raise Mistake(f"network '{name}' names its {axis} twice; name it once")
        chosen[axis] = value
    spec = Spec(**chosen)  # type: ignore[arg-type]
    if spec.norm == "group" and spec.width % 4:
        raise Mistake(f"network '{name}': group norm has 4 groups; choose a width divisible by 4")
    return spec


class ConvNet(nn.Module):
    """Blocks of 3x3 convolution, norm, activation and pooling, then one linear layer.

    A block whose images are already smaller than 2x2 does not pool, so that any depth takes any
    image size. Build with `build`, which also initialises; the constructor alone uses torch's
    global generator.
    """

    def __init__(self, spec: Spec, shape: tuple[int, int, int], classes: int) -> None:
        """For images of `shape` (C, H, W); `classes` outputs."""
        super().__init__()
        self.spec = spec
        channels, height, width = shape
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        self.activation = ACTIVATIONS[spec.activation]()
        self.poolings = nn.ModuleList()
        for _ in range(spec.depth):
            self.convolutions.append(nn.Conv2d(channels, spec.width, 3, padding=1))
            self.norms.append(_norm(spec.norm, spec.width, height, width))
            channels = spec.width
            shrinks = spec.pooling != "none" and min(height, width) >= 2
            self.poolings.append(POOLINGS[spec.pooling]() if shrinks else nn.Identity())
            if shrinks:
                height, width = height // 2, width // 2
        self.head = nn.Linear(channels * height * width, classes)

    def layers(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The activations of every block and the embedding.

        Args:
            images: [B, C, H, W], normalised.

        Returns:
            maps: one [B, width, H_l, W_l] a block, after the activation and before the pooling.
            embedding: [B, D], the last block's output after its pooling, flattened.
        """
        x, maps = images, []
        for convolution, norm, pooling in zip(
            self.convolutions, self.norms, self.poolings, strict=True
        ):
            maps.append(self.activation(norm(convolution(x))))
            x = pooling(maps[-1])
        return maps, x.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], normalised, to logits [B, classes]."""
        return self.head(self.layers(images)[1])


def _norm(name: str, channels: int, height: int, width: int) -> nn.Module:
    if name == "none":
        return nn.Identity()
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "layer":
        return nn.LayerNorm((channels, height, width))
    return nn.GroupNorm(channels if name == "instance" else 4, channels)


def build(
    spec: Spec, shape: tuple[int, int, int], *, classes: int, generator: torch.Generator
) -> ConvNet:
    """A freshly initialised ConvNet for images of `shape` (C, H, W)."""
    with torch.device("meta"):
        network = ConvNet(spec, shape, classes)
    network = network.to_empty(device="cpu")
    initialise(network, generator=generator)
    return network


def build_many(
    spec: Spec, shape: tuple[int, int, int], *, classes: int, generators: Iterable[torch.Generator]
) -> list[ConvNet]:
    """One fresh ConvNet from each generator."""
    return [build(spec, shape, classes=classes, generator=g) for g in generators]


@torch.no_grad()
def initialise(network: nn.Module, *, generator: torch.Generator) -> None:
    """Initialise in place as torch does by default, but from `generator`.

    Weights and biases of convolutions and linear layers: uniform within 1 / sqrt(fan-in). Norms:
    scale 1, shift 0. The numbers are drawn on the CPU whatever the network's device.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for parameter in (layer.weight, layer.bias):
                drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                parameter.copy_(drawn)
        elif hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
