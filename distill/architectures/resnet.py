"""ResNet-10 and ResNet-18 as the field has them for small images: a 3x3 stem, no first pooling."""

import dataclasses

from torch import Tensor, nn
from torch.nn.functional import relu

from distill.architectures._names import chosen
from distill.architectures._norms import WORDS, norm_layer, word

STAGES = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2)}
"""Residual blocks in the stages of 64, 128, 256 and 512 channels, by depth."""
FIRSTS = {f"resnet{depth}": depth for depth in STAGES}


@dataclasses.dataclass(frozen=True)
class Spec:
    """One ResNet, e.g. `resnet18-instance`; `nonorm` stands for no normalisation."""

    depth: int = 18
    norm: str = "instance"
    width = 64

    def __str__(self) -> str:
        return f"resnet{self.depth}-{word(self.norm)}"


def parse(name: str) -> Spec:
    """`resnet10` or `resnet18`, and the norm if it is not instance norm.

    Raises:
        Mistake: another ResNet, or an unknown part.
    """
    fields = chosen(name, list(FIRSTS), words=WORDS)
    return Spec(FIRSTS[name.split("-")[0]], **fields)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where shapes differ."""

    def __init__(
        self, norm: str, inputs: int, outputs: int, size: tuple[int, int], stride: int
    ) -> None:
        """`size` is the height and width of what comes out."""
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = norm_layer(norm, outputs, *size)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = norm_layer(norm, outputs, *size)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False))
            self.shortcut.append(norm_layer(norm, outputs, *size))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / stride, W / stride], not negative."""
        inner = relu(self.first_norm(self.first(x)), inplace=True)
        return relu(self.second_norm(self.second(inner)) + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """A 3x3 stem, four stages of residual blocks, the mean over the pixels, one linear layer.

    The later three stages halve the image, as long as 2x2 pixels are left: instance norm leaves
    nothing of a single one.
    """

    def __init__(self, spec: Spec, shape: tuple[int, int, int], classes: int) -> None:
        """For images of `shape` (C, H, W); `classes` outputs."""
        super().__init__()
        self.spec = spec
        inputs, *size = shape
        channels = spec.width
        self.stem = nn.Conv2d(inputs, channels, 3, padding=1, bias=False)
        self.stem_norm = norm_layer(spec.norm, channels, *size)
        self.blocks = nn.ModuleList()
        for stage, blocks in enumerate(STAGES[spec.depth]):
            outputs = spec.width * 2**stage
            stride = 2 if stage and min(size) >= 3 else 1
            size = [-(-pixels // stride) for pixels in size]
            for _ in range(blocks):
                self.blocks.append(Residual(spec.norm, channels, outputs, tuple(size), stride))
                channels, stride = outputs, 1
        self.head = nn.Linear(channels, classes)

    def layers(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Images [B, C, H, W] to what each residual block gives and the embedding [B, 512]."""
        x, maps = relu(self.stem_norm(self.stem(images)), inplace=True), []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps, x.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], normalised, to logits [B, classes]."""
        return self.head(self.layers(images)[1])


Network = ResNet
"""What `distill.networks.build` builds."""
