"""Herding: real images whose mean follows the class mean (Rebuffi et al., iCaRL, CVPR 2017)."""

import functools

import torch
from torch import Tensor

from distill.methods._selection import Config as Config
from distill.methods._selection import choose
from distill.methods._selection import preset as preset

VERSION = 1


def order(features: Tensor, count: int) -> list[int]:
    """The first `count` of iCaRL's greedy order (its algorithm 4).

    The k-th image is the one that brings the mean of the k chosen nearest to the mean of all; no
    image is chosen twice.
    """
    mean = features.mean(0)
    total = torch.zeros_like(mean)
    taken = features.new_zeros(len(features))  # infinite for the chosen
    places: list[int] = []
    for k in range(1, count + 1):
        distance = (mean - (total + features) / k).square().sum(1) + taken
        places.append(int(distance.argmin()))
        taken[places[-1]] = torch.inf
        total += features[places[-1]]
    return places


distill = functools.partial(choose, order)
"""Choose `ipc` images of every class present, in herding order; see `_selection.choose`.

The first images of a larger set are the smaller set.
"""
