"""ConvNet, the network of the field: blocks of convolution, norm, activation and pooling."""

import dataclasses

from torch import Tensor, nn

from distill.architectures._border import border
from distill.architectures._names import chosen
from distill.architectures._norms import NORMS, WORDS, norm_layer, word
from distill.architectures._pooling import AveragePool
from distill.runtime.mistake import Mistake

__all__ = ["ACTIVATIONS", "NORMS", "POOLINGS", "ConvNet", "Network", "Spec", "parse"]

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
    """One ConvNet (the axes of the paper's architecture search).

    Its name lists what it is made of, e.g. `convnet-d3-w128-instance-relu-avg`; `nonorm` and
    `nopool` stand for no normalisation and no pooling.
    """

    depth: int = 3
    width: int = 128
    norm: str = "instance"
    activation: str = "relu"
    pooling: str = "avg"

    def __str__(self) -> str:
        pooling = "nopool" if self.pooling == "none" else self.pooling
        norm = word(self.norm)
        return f"convnet-d{self.depth}-w{self.width}-{norm}-{self.activation}-{pooling}"


def parse(name: str) -> Spec:
    """`convnet` followed by any parts in any order; what is left out is as in the paper.

    Raises:
        Mistake: not a ConvNet, an unknown part, or a width that group norm cannot divide by 4.
    """
    words = WORDS | {part: ("activation", part) for part in ACTIVATIONS}
    words |= {part: ("pooling", part) for part in POOLINGS if part != "none"}
    words["nopool"] = ("pooling", "none")
    numbers = {"d": "depth", "w": "width"}
    spec = Spec(**chosen(name, ["convnet"], words=words, numbers=numbers))
    if spec.norm == "group" and spec.width % 4:
        raise Mistake(f"network '{name}': group norm has 4 groups; choose a width divisible by 4")
    return spec


class ConvNet(nn.Module):
    """Blocks of 3x3 convolution, norm, activation and pooling, then one linear layer.

    A block whose images are already smaller than 2x2 does not pool, so that any depth takes any
    image size; grey images of 28x28 are padded to 32x32 (`border`). Build with
    `distill.networks.build`, which also initialises; the constructor alone uses torch's global
    generator.
    """

    def __init__(self, spec: Spec, shape: tuple[int, int, int], classes: int) -> None:
        """For images of `shape` (C, H, W); `classes` outputs."""
        super().__init__()
        self.spec = spec
        more = border(shape)
        channels, height, width = shape[0], shape[1] + 2 * more, shape[2] + 2 * more
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        self.activation = ACTIVATIONS[spec.activation]()
        self.poolings = nn.ModuleList()
        for _ in range(spec.depth):
            self.convolutions.append(nn.Conv2d(channels, spec.width, 3, padding=1 + more))
            more = 0
            self.norms.append(norm_layer(spec.norm, spec.width, height, width))
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


Network = ConvNet
"""What `distill.networks.build` builds."""
