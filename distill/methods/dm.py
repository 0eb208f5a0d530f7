"""DM, distribution matching (Zhao and Bilen, WACV 2023): the mean of the last features."""

import dataclasses
import functools
from typing import TypeVar

from torch import Tensor

from distill import presets
from distill.images import About
from distill.networks import Network
from distill.objectives.matching import Config as Config
from distill.objectives.matching import match
from distill.objectives.members import Vectors

VERSION = 1

C = TypeVar("C", bound=Config)


def preset(about: About, ipc: int, name: str) -> Config:
    """laptop: width 32, targets bought once (see `laptop`). paper: 20,000 fresh networks.

    paper is the released code of DM: 256 real images a class and learning rate 1, which is 10 from
    100 images a class on. That is published for CIFAR-10; CIFAR-100 has 1 there (--method.rate 1).
    See its Table 1 (CIFAR-10: 26.0, 48.9, 63.0 % at 1, 10, 50 images a class, not whitened).
    """
    config = Config(
        network=f"convnet-d{about.depth}-w128-instance-relu-avg",
        iterations=20000,
        real_batch=256,
        rate=10.0 if ipc >= 100 else 1.0,
    )
    return config if presets.require(name) == "paper" else laptop(config, about)


def laptop(config: C, about: About) -> C:
    """`config` at the size of minutes on two cores.

    1,000 steps on targets of 128 networks and 32 real images a class. Chosen on validation images
    of digits (see the page `classification-digits-validation` in results/tables).
    """
    return dataclasses.replace(
        config,
        network=f"convnet-d{about.depth}-w32-instance-relu-avg",
        networks=128,
        real_batch=32,
        iterations=1000,
    )


def embedding(network: Network, images: Tensor) -> list[Vectors]:
    """DM's only term: the embedding [B, D]."""
    return [Vectors("embedding", 1.0, network.layers(images)[1])]


distill = functools.partial(match, embedding)
"""Learn `ipc` images of every class present; see `distill.objectives.matching.match`."""
