"""DM, distribution matching (Zhao and Bilen, WACV 2023): the mean of the last features."""

import dataclasses
from typing import TypeVar

import torch
from torch import Tensor

from distill import presets
from distill.images import ImageSet
from distill.matching import Config as Config
from distill.matching import Vectors, match
from distill.networks import ConvNet
from distill.progress import Progress
from distill.synthetic import SyntheticSet

REDRAWN = False

C = TypeVar("C", bound=Config)


def preset(dataset: str, ipc: int, name: str) -> Config:
    """laptop: width 32, targets bought once (see `laptop`). paper: 20,000 fresh networks.

    paper is the released code of DM: learning rate 1 (10 from 100 images a class), 256 real images
    a class; see its Table 1 (CIFAR-10: 26.0, 48.9, 63.0 % at 1, 10, 50 images a class).
    """
    if presets.require(name) == "paper":
        return Config(iterations=20000, real_batch=256, rate=10.0 if ipc >= 100 else 1.0)
    return laptop(Config(), dataset)


def laptop(config: C, dataset: str) -> C:
    """`config` at the size of minutes on two cores.

    What it buys was measured on CIFAR-10: with 1,000 steps on 128 networks and 32 real images a
    class, one image a class ends where 1,000 steps on fresh networks and 128 real images end
    (results/tables/classification.md). The 8x8 digits make do with less.
    """
    small = dataset == "digits"
    return dataclasses.replace(
        config,
        network="convnet-d3-w32-instance-relu-avg",
        networks=32 if small else 128,
        real_batch=128 if small else 32,
        iterations=500 if small else 1000,
    )


def embedding(network: ConvNet, images: Tensor) -> list[Vectors]:
    """DM's only term: the embedding [B, D]."""
    return [Vectors("embedding", 1.0, network.layers(images)[1])]


def distill(
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> SyntheticSet:
    """Learn `ipc` images of every class present; see `distill.matching.match`."""
    return match(
        "dm",
        embedding,
        real,
        ipc,
        config=config,
        seed=seed,
        device=device,
        progress=progress,
    )
