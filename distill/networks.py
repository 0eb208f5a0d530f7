"""A network by name, its initialisation, and what a network must offer.

One file of `distill/architectures/` is one family, e.g. `resnet.py` is all of `resnet10`,
`resnet18-batch` and so on. It offers:

    Spec: a frozen dataclass that meets the protocol here; `Spec()` is the family's default.
    parse(name) -> Spec: from any name that begins with the family's; a `Mistake` says what is
        wrong with it. `parse(str(spec)) == spec`.
    Network(spec, shape, classes): an `nn.Module` that meets the protocol here, for images of
        `shape` (C, H, W). It must also be constructible on torch's meta device.
    FIRSTS: what its names begin with up to the first dash, if that is not the family's own name.
"""

import functools
import importlib
import math
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from distill.runtime import registry
from distill.runtime.mistake import Mistake, unknown


class Spec(Protocol):
    """What stands for one network of a family; `str(spec)` is the name that spells everything."""

    @property
    def norm(self) -> str:
        """`none`, `batch`, `layer`, `instance` or `group`."""

    @property
    def width(self) -> int:
        """The largest number of channels of a map as large as the image: it bounds memory."""


class Network(Protocol):
    """What every network offers beside being an `nn.Module`."""

    spec: Spec
    head: nn.Linear
    """From the embedding to the logits."""

    def layers(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The activations of every block and the embedding.

        Args:
            images: [B, C, H, W], normalised.

        Returns:
            maps: one [B, C_l, H_l, W_l] a block, before its pooling, as attention matching uses
                them.
            embedding: [B, D].
        """

    def __call__(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], normalised, to logits [B, classes]."""


FAMILIES = "distill.architectures"
MOST_WEIGHTS = 1_000_000_000
"""Of one network: 4 GB, as much again for their gradients and for their momentum."""
NORM_LAYERS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm)
"""Their `reset_parameters` draws nothing."""
INITIALISATIONS = ("uniform", "kaiming", "xavier", "orthogonal", "normal")
"""How weights can be drawn; the first is torch's default."""
NORMAL = 0.02
"""Standard deviation of the weights of `normal`."""


@functools.cache
def parse(name: str) -> Spec:
    """The specification of a network; the family is the letters that its name begins with.

    What a name means is kept, since looking for its family reads a folder.

    Raises:
        Mistake: no such family, or the family knows no such network.
    """
    first, families = name.split("-")[0], registry.names(FAMILIES)
    letters = re.match("[A-Za-z]*", first).group()
    if letters in families:
        family = importlib.import_module(f"{FAMILIES}.{letters}")
        if first in _firsts(family):
            return family.parse(name)
    all_families = [importlib.import_module(f"{FAMILIES}.{one}") for one in families]
    raise unknown("network", first, [word for one in all_families for word in _firsts(one)])


def _firsts(family: ModuleType) -> Iterable[str]:
    """What the names of a family's networks begin with."""
    return getattr(family, "FIRSTS", [family.__name__.rpartition(".")[2]])


def couples_images(spec: Spec) -> bool:
    """True if what the network makes of an image depends on the rest of the batch."""
    return spec.norm == "batch"


def build(
    spec: Spec, shape: tuple[int, int, int], *, classes: int, generator: torch.Generator
) -> Network:
    """A freshly initialised network on the CPU for images of `shape` (C, H, W).

    Raises:
        Mistake: it has more weights than `MOST_WEIGHTS`.
    """
    network = drafted(spec, shape, classes=classes).to_empty(device="cpu")
    initialise(network, generator=generator)
    return network


def drafted(spec: Spec, shape: tuple[int, int, int], *, classes: int) -> Network:
    """The network on torch's meta device: its shape without its weights.

    Raises:
        Mistake: it has more weights than `MOST_WEIGHTS`.
    """
    family = importlib.import_module(type(spec).__module__)
    with torch.device("meta"):
        network = family.Network(spec, shape, classes)
    weights = sum(parameter.numel() for parameter in network.parameters())
    if weights > MOST_WEIGHTS:
        size = "x".join(map(str, shape[1:]))
        raise Mistake(
            f"network {spec} has {weights:,} weights for images of {size} pixels; choose one of at "
            f"most {MOST_WEIGHTS:,}: less wide, or with pooling"
        )
    return network


def build_many(
    spec: Spec, shape: tuple[int, int, int], *, classes: int, generators: Iterable[torch.Generator]
) -> list[Network]:
    """One fresh network from each generator."""
    return [build(spec, shape, classes=classes, generator=g) for g in generators]


@torch.no_grad()
def initialise(
    network: nn.Module, *, generator: torch.Generator, scheme: str = INITIALISATIONS[0]
) -> None:
    """Initialise in place from `generator`; by default as torch does.

    Weights of convolutions and linear layers, by `scheme`:

    uniform: within 1 / sqrt(fan-in), biases too. Attention: Xavier for the projection to queries,
        keys and values, biases 0.
    kaiming: normal of variance 2 / fan-in (He et al., 2015).
    xavier: uniform of variance 2 / (fan-in + fan-out) (Glorot and Bengio, 2010).
    orthogonal: rows, or columns where they are fewer, of length 1 and at right angles, of the
        matrix with a row an output (Saxe et al., 2014).
    normal: of standard deviation `NORMAL`.

    In all but uniform biases are 0. Norms: scale 1, shift 0, running statistics as new. A module
    with parameters or buffers of its own fills them in its method `initialise(generator)`. The
    numbers are drawn on the CPU whatever the network's device.

    Raises:
        TypeError: a parameter or buffer that none of these fills; the message names it.
    """
    assert scheme in INITIALISATIONS, scheme
    # A tensor counts the writes to it, so one that nobody filled is known by its count.
    before = {name: tensor._version for name, tensor in _tensors(network)}
    projections = set()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if scheme == "uniform":
                _initialise_linear(module, generator, shifted=module not in projections)
            else:
                _initialise_by(scheme, module.weight, module.bias, generator)
        elif isinstance(module, nn.MultiheadAttention):
            if scheme == "uniform":
                _initialise_attention(module, generator)
            else:
                _initialise_by(scheme, module.in_proj_weight, module.in_proj_bias, generator)
            projections.add(module.out_proj)
        elif isinstance(module, NORM_LAYERS):
            module.reset_parameters()
        if hasattr(module, "initialise"):
            module.initialise(generator)
    empty = [name for name, tensor in _tensors(network) if tensor._version == before[name]]
    if empty:
        raise TypeError(
            f"{type(network).__name__}: cannot initialise {', '.join(empty)}; the module that "
            "holds it needs a method initialise(generator) that fills it in place"
        )


def size(spec: Spec, shape: tuple[int, int, int], classes: int) -> tuple[int, int]:
    """Parameters, and FLOPs of one image's forward pass (a multiply-add counts as two).

    Of a network of any family, for images of `shape` (C, H, W); nothing is computed.
    """
    family = importlib.import_module(type(spec).__module__)
    with torch.device("meta"):
        network = family.Network(spec, shape, classes).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(2, *shape))  # one image alone may be too few for a group norm
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


def _tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    return [*network.named_parameters(), *network.named_buffers()]


def _draw(parameter: Tensor, bound: float, generator: torch.Generator) -> None:
    """Uniform within `bound`."""
    drawn = torch.empty(parameter.shape, device="cpu").uniform_(-bound, bound, generator=generator)
    parameter.copy_(drawn)


def _initialise_linear(
    layer: nn.Conv2d | nn.Linear, generator: torch.Generator, *, shifted: bool
) -> None:
    """Weight and bias; without `shifted` the bias is 0."""
    bound = 1 / math.sqrt(layer.weight[0].numel())
    _draw(layer.weight, bound, generator)
    if layer.bias is not None and shifted:
        _draw(layer.bias, bound, generator)
    elif layer.bias is not None:
        layer.bias.zero_()


def _initialise_attention(attention: nn.MultiheadAttention, generator: torch.Generator) -> None:
    """The joint projection to queries, keys and values; the one to the output is a linear layer."""
    weight = attention.in_proj_weight
    if weight is not None:
        _draw(weight, math.sqrt(6 / sum(weight.shape)), generator)
    if attention.in_proj_bias is not None:
        attention.in_proj_bias.zero_()


def _initialise_by(
    scheme: str, weight: Tensor | None, bias: Tensor | None, generator: torch.Generator
) -> None:
    """A layer's weight by any scheme but uniform; its bias becomes 0."""
    if weight is not None:
        drawn, init = torch.empty(weight.shape, device="cpu"), nn.init
        if scheme == "kaiming":
            init.kaiming_normal_(drawn, nonlinearity="relu", generator=generator)
        elif scheme == "xavier":
            init.xavier_uniform_(drawn, generator=generator)
        elif scheme == "orthogonal":
            init.orthogonal_(drawn, generator=generator)
        else:
            init.normal_(drawn, std=NORMAL, generator=generator)
        weight.copy_(drawn)
    if bias is not None:
        bias.zero_()
