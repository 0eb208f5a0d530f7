"""Average pooling that a CPU can do with whole vectors: torch's own takes one pixel at a time."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGE = 2**15
"""Numbers from which on the vectors pay for the calls from Python (measured on one core)."""


class AveragePool(nn.Module):
    """The mean of every 2x2 pixels, as `nn.AvgPool2d(2)`; an odd last row or column is left out."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, H // 2, W // 2]."""
        fast = x.device.type == "cpu" and x.numel() >= LARGE
        return _Average.apply(x) if fast else F.avg_pool2d(x, 2)


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        height, width = (size // 2 * 2 for size in x.shape[2:])
        rows = x[..., 0:height:2, :width] + x[..., 1:height:2, :width]
        return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        height, width = (size // 2 * 2 for size in ctx.shape[2:])
        quarter = gradient * 0.25
        if torch.compiler.is_compiling():  # strided writes become one pixel at a time there
            twice = quarter[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2)
            spread = twice.reshape(*ctx.shape[:2], height, width)
            return F.pad(spread, (0, ctx.shape[3] - width, 0, ctx.shape[2] - height))
        even = (height, width) == ctx.shape[2:]
        spread = (gradient.new_empty if even else gradient.new_zeros)(ctx.shape)
        spread[..., 0:height:2, 0:width:2] = quarter
        spread[..., 0:height:2, 1:width:2] = quarter
        spread[..., 1:height:2, :] = spread[..., 0:height:2, :]
        return spread
