"""k-center greedy: real images that leave no image of their class far away.

The core set of Sener and Savarese (Active Learning for Convolutional Neural Networks, ICLR 2018,
algorithm 1), class by class: a baseline of DC and of DM.
"""

import functools

import torch
from torch import Tensor

from distill.methods._selection import Config as Config
from distill.methods._selection import choose
from distill.methods._selection import preset as preset

VERSION = 1


def order(features: Tensor, count: int) -> list[int]:
    """The first `count` places of the greedy order: each is the farthest from all before it.

    The first is the image nearest to the mean of all; no image is chosen twice.
    """
    places = [int((features - features.mean(0)).square().sum(1).argmin())]
    distance = features.new_full((len(features),), torch.inf)  # to the nearest of the chosen
    while len(places) < count:
        last = features[places[-1]]
        distance = distance.minimum((features - last).square().sum(1))
        distance[places] = -torch.inf
        places.append(int(distance.argmax()))
    return places


distill = functools.partial(choose, order)
"""Choose `ipc` images of every class present, in greedy order; see `_selection.choose`.

The first images of a larger set are the smaller set.
"""
