"""VGG-11 as the field has it for small images: eight 3x3 convolutions and one linear layer."""

import dataclasses

from torch import Tensor, nn

from distill.architectures._blocks import Blocks
from distill.architectures._names import chosen
from distill.architectures._norms import WORDS, word

PLANS = {
    11: (
        ((3, 64),),
        ((3, 128),),
        ((3, 256), (3, 256)),
        ((3, 512), (3, 512)),
        ((3, 512), (3, 512)),
    )
}
"""By the number of layers with weights, as VGG's authors count: the classifier's three included."""
FIRSTS = {f"vgg{depth}": depth for depth in PLANS}


@dataclasses.dataclass(frozen=True)
class Spec:
    """One VGG, e.g. `vgg11-instance`; `nonorm` stands for no normalisation."""

    depth: int = 11
    norm: str = "instance"
    width = 64

    def __str__(self) -> str:
        return f"vgg{self.depth}-{word(self.norm)}"


def parse(name: str) -> Spec:
    """`vgg11`, and the norm if it is not instance norm.

    Raises:
        Mistake: another VGG, or an unknown part.
    """
    fields = chosen(name, list(FIRSTS), words=WORDS)
    return Spec(FIRSTS[name.split("-")[0]], **fields)


class VGG(nn.Module):
    """Five blocks of 64 to 512 channels, a 2x2 max pooling after each: 32x32 pixels end as one."""

    def __init__(self, spec: Spec, shape: tuple[int, int, int], classes: int) -> None:
        """For images of `shape` (C, H, W); `classes` outputs."""
        super().__init__()
        self.spec = spec
        self.features = Blocks(PLANS[spec.depth], spec.norm, shape)
        self.head = nn.Linear(self.features.outputs, classes)

    def layers(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Images [B, C, H, W] to five maps, each before its pooling, and the embedding [B, D]."""
        return self.features(images)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], normalised, to logits [B, classes]."""
        return self.head(self.layers(images)[1])


Network = VGG
"""What `distill.networks.build` builds."""
