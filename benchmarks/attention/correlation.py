"""How far the maps of random networks agree: sums from which all pairs' correlations follow."""

from typing import NamedTuple

import torch
from torch import Tensor


class MapAgreement(NamedTuple):
    """Mean correlations [N], of each image; NaN where no pair has one.

    Attributes:
        same: of its own maps in two different networks. other: of its map in one network with the
            maps of the other images in another network.
    """

    same: Tensor
    other: Tensor


class Correlations:
    """Mean pairwise Pearson correlations of maps, network by network, without keeping the maps.

    A map of mean 0 and length 1 is a vector z, the correlation of two maps their product; the sum
    over all pairs of networks follows from the sum of the vectors: |sum z|^2 - sum |z|^2.
    """

    def __init__(self) -> None:
        self._own: Tensor | float = 0.0  # [N, D + 1], summed over networks
        self._within: Tensor | float = 0.0  # [N, 2]: products with all images in the same network
        self._squares: Tensor | float = 0.0  # [N, 2]

    def add(self, maps: Tensor) -> None:
        """Count a network's maps [N, D]. A constant one has no correlation, and is left out."""
        maps = maps.double()
        centred = maps - maps.mean(1, keepdim=True)
        length = centred.norm(dim=1, keepdim=True)
        known = length > 1e-9 * maps.norm(dim=1, keepdim=True)
        vectors = torch.where(known, centred / length.clamp(min=1e-300), 0.0)
        # Last, a 1 for each map that counts: the same sums of it count the pairs.
        vectors = torch.cat([vectors, known.double()], 1)
        self._own = self._own + vectors
        self._within = self._within + _halves(vectors * vectors.sum(0))
        self._squares = self._squares + _halves(vectors.square())

    def agreement(self) -> MapAgreement:
        """Of all networks counted so far, at least two."""
        assert isinstance(self._own, Tensor), "no network was counted"
        own, total = _halves(self._own.square()), _halves(self._own * self._own.sum(0))
        same = own - self._squares
        other = total - own - self._within + self._squares
        return MapAgreement(_mean(same), _mean(other))


def _mean(sums: Tensor) -> Tensor:
    """[N, 2] of sums and counts to means [N]; of no pair rounding may be left, but no mean."""
    return torch.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], torch.nan)


def _halves(products: Tensor) -> Tensor:
    """[N, D + 1] to [N, 2]: the sum over D, and what counts."""
    return torch.stack([products[:, :-1].sum(1), products[:, -1]], 1)
