"""AlexNet as the field has it for small images: five convolutions and one linear layer."""

import dataclasses

from torch import Tensor, nn

from distill.architectures._blocks import Blocks
from distill.architectures._names import chosen
from distill.architectures._norms import WORDS, word

PLAN = (((5, 128),), ((5, 192),), ((3, 256), (3, 192), (3, 192)))


@dataclasses.dataclass(frozen=True)
class Spec:
    """One AlexNet: `alexnet`, which has no norm, or with one, e.g. `alexnet-batch`."""

    norm: str = "none"
    width = 128

    def __str__(self) -> str:
        return "alexnet" if self.norm == "none" else f"alexnet-{word(self.norm)}"


def parse(name: str) -> Spec:
    """`alexnet`, and the norm if there is one.

    Raises:
        Mistake: another first word, or an unknown part.
    """
    return Spec(**chosen(name, ["alexnet"], words=WORDS))


class AlexNet(nn.Module):
    """Convolutions 5x5 of 128, 5x5 of 192, 3x3 of 256, 192 and 192 channels; three poolings."""

    def __init__(self, spec: Spec, shape: tuple[int, int, int], classes: int) -> None:
        """For images of `shape` (C, H, W); `classes` outputs."""
        super().__init__()
        self.spec = spec
        self.features = Blocks(PLAN, spec.norm, shape)
        self.head = nn.Linear(self.features.outputs, classes)

    def layers(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Images [B, C, H, W] to three maps, each before its pooling, and the embedding [B, D]."""
        return self.features(images)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], normalised, to logits [B, classes]."""
        return self.head(self.layers(images)[1])


Network = AlexNet
"""What `distill.networks.build` builds."""
