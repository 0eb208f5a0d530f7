"""Blocks of convolutions with a pooling after each: what AlexNet and VGG are made of."""

from collections.abc import Sequence

from torch import Tensor, nn

from distill.architectures._border import border
from distill.architectures._norms import norm_layer

Plan = Sequence[Sequence[tuple[int, int]]]
"""For each block, the kernel size and the channels of its convolutions."""


class Blocks(nn.Module):
    """Blocks of convolution, norm and ReLU; after each block a 2x2 max pooling.

    A pooling between two blocks leaves at least 2x2 pixels (instance norm leaves nothing of a
    single one), and the last one is skipped where an image is already smaller than 2x2: so any
    image size will do. Grey images of 28x28 are padded to 32x32 (`border`).
    """

    def __init__(self, plan: Plan, norm: str, shape: tuple[int, int, int]) -> None:
        """For images of `shape` (C, H, W)."""
        super().__init__()
        more = border(shape)
        channels, height, width = shape[0], shape[1] + 2 * more, shape[2] + 2 * more
        self.blocks, self.poolings = nn.ModuleList(), nn.ModuleList()
        for place, convolutions in enumerate(plan, start=1):
            block = nn.Sequential()
            for kernel, outputs in convolutions:
                block.append(nn.Conv2d(channels, outputs, kernel, padding=kernel // 2 + more))
                more = 0
                block.append(norm_layer(norm, outputs, height, width))
                block.append(nn.ReLU(inplace=True))
                channels = outputs
            self.blocks.append(block)
            shrinks = min(height, width) >= (2 if place == len(plan) else 4)
            self.poolings.append(nn.MaxPool2d(2) if shrinks else nn.Identity())
            if shrinks:
                height, width = height // 2, width // 2
        self.outputs = channels * height * width
        """Numbers in the embedding of an image."""

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Images [B, C, H, W] to the last activation of each block and the embedding [B, D]."""
        x, maps = images, []
        for block, pooling in zip(self.blocks, self.poolings, strict=True):
            maps.append(block(x))
            x = pooling(maps[-1])
        return maps, x.flatten(1)
