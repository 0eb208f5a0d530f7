"""The paper's core: spatial attention maps."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def attention(features: Tensor, *, power: float = 4) -> Tensor:
    """Spatial attention of one layer: A = sum over channels of |f|^p, flattened, L2-normalised.

    DataDAM's spatial attention matching (SAM): the maps are normalised per image, so that only
    where a network looks counts and not how loudly.

    Args:
        features: [B, C, H, W], the activations of one layer.
        power: p; the paper's value is 4.

    Returns:
        [B, H * W], of length 1 each (0 where all features are 0).
    """
    if features.dtype in (torch.bfloat16, torch.float16):
        features = features.float()  # a fourth power needs more digits than they have
    summed = _FourthPowers.apply(features) if power == 4 else features.abs().pow(power).sum(1)
    return F.normalize(summed.flatten(1), dim=1)


class _FourthPowers(torch.autograd.Function):
    """Sum over channels of f^4: [B, C, H, W] to [B, H, W].

    Two squarings cost a third of a general power, and one block of memory serves each direction.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        return features.square().square_().sum(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        return features.square().mul_(features).mul_(4 * gradient.unsqueeze(1))


def uniformity(maps: Tensor) -> Tensor:
    """How near attention maps are to looking everywhere alike.

    Args:
        maps: [B, D], of length 1 each and not negative.

    Returns:
        [B]: the cosine with the constant map; 1 is uniform, 1 / sqrt(D) a single bright pixel.
    """
    return maps.sum(1) / math.sqrt(maps.shape[1])
