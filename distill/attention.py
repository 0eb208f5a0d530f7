"""The paper's core: spatial attention maps."""

import math

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
    # Two squarings cost a third of a general power.
    energy = features.square().square() if power == 4 else features.abs().pow(power)
    return F.normalize(energy.sum(1).flatten(1), dim=1)


def uniformity(maps: Tensor) -> Tensor:
    """How near attention maps are to looking everywhere alike.

    Args:
        maps: [B, D], of length 1 each and not negative.

    Returns:
        [B]: the cosine with the constant map; 1 is uniform, 1 / sqrt(D) a single bright pixel.
    """
    return maps.sum(1) / math.sqrt(maps.shape[1])
