"""CutMix (Yun et al., ICCV 2019): a box of each image is another one's, and its label in part."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def cutmix(
    images: Tensor,
    labels: Tensor,
    *,
    classes: int,
    probability: float,
    generators: Sequence[torch.Generator],
) -> tuple[Tensor, Tensor]:
    """Mix the mini-batches of K networks, each with `probability` and by draws of its own.

    A mini-batch gets one box, as in the authors' code: its share of the area is drawn from Beta(1,
    1), that is uniformly, its centre from all pixels, and it is clipped at the border (section
    3.2). Its sides are whole pixels; each label weighs exactly as many as its image has in the
    end. Partners come from a permutation of the mini-batch.

    Args:
        images: [K, B, C, H, W]. labels: int64 [K, B], below `classes`.
        generators: one a network; as much is drawn whether a mini-batch is mixed or not.

    Returns:
        Images as before, and labels as probabilities: float [K, B, classes].
    """
    height, width = images.shape[-2:]
    draws = [torch.rand(4, generator=g) for g in generators]
    orders = [torch.randperm(images.shape[1], generator=g) for g in generators]
    chance, area, row, column = torch.stack(draws).T
    side = area.sqrt() * (chance < probability)
    inside = _within(row, side, height)[:, :, None] & _within(column, side, width)[:, None]
    share = inside.double().mean((1, 2)).float().to(images.device).view(-1, 1, 1)
    inside = inside.to(images.device)[:, None, None]
    network = torch.arange(len(images), device=images.device)[:, None]
    partners = torch.stack(orders).to(images.device)
    whole = F.one_hot(labels, classes).float()
    mixed = torch.where(inside, images[network, partners], images)
    return mixed, (1 - share) * whole + share * whole[network, partners]


def _within(position: Tensor, side: Tensor, size: int) -> Tensor:
    """bool [K, size]: which pixels of an axis a box holds; position and side in 0..1 of it."""
    length = (side * size).round().long()
    start = (position * size).long() - length // 2
    place = torch.arange(size) - start[:, None]
    return (place >= 0) & (place < length[:, None])
