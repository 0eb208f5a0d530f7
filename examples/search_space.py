"""A search space of your own, of 24 networks; docs/search.md says what such a file must hold.

python -m benchmarks.nas --dataset folder --data-root pets --image-size 32 \
    --space examples/search_space.py --proxy distilled
"""

import nni
import torch.nn.functional as F
from nni.nas.nn.pytorch import (
    LayerChoice,
    ModelSpace,
    MutableBatchNorm2d,
    MutableConv2d,
    MutableLinear,
)
from torch import Tensor, nn


class SmallNets(ModelSpace):
    """Two convolutions, then the mean over all pixels and one linear layer."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        """For images of `shape` (channels, height, width); `classes` outputs."""
        super().__init__()
        width = nni.choice("width", [8, 16, 32])
        self.first = MutableConv2d(shape[0], width, 3, padding=1)
        norms = {"none": nn.Identity(), "batch": MutableBatchNorm2d(width)}
        self.norm = LayerChoice(norms, label="norm")
        self.pool = LayerChoice({"avg": nn.AvgPool2d(2), "max": nn.MaxPool2d(2)}, label="pool")
        convolutions = {
            "full": MutableConv2d(width, width, 3, padding=1),
            "depthwise": MutableConv2d(width, width, 3, padding=1, groups=width),
        }
        self.second = LayerChoice(convolutions, label="conv")
        self.head = MutableLinear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], normalised, to logits [B, classes]."""
        x = self.pool(F.relu(self.norm(self.first(images))))
        return self.head(F.relu(self.second(x)).mean((2, 3)))
