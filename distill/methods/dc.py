"""DC, dataset condensation (Zhao et al., ICLR 2021): the gradients of the training loss."""

import dataclasses
import functools

from distill import presets
from distill.images import About
from distill.objectives.gradients import Config as Config
from distill.objectives.gradients import match_gradients

VERSION = 1

NETWORKS = 1000
"""Random networks of a published run."""
LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
"""The outer and inner loop at so many images a class, as the released code has them."""


def preset(about: About, ipc: int, name: str) -> Config:
    """laptop: width 32, networks as they are drawn (`laptop`). paper: 1,000 networks, trained.

    paper: width 128, images that begin as noise, the outer and inner loops of `LOOPS` (between
    these, of the next smaller number of images), learning rate 0.1 of the images and 0.01 of the
    networks, 256 real images. From 10 images a class on it couples the classes. See the paper's
    Table 1 (CIFAR-10: 28.3, 44.9, 53.9 % at 1, 10, 50 images a class, by the recipe `dc`).
    """
    if presets.require(name) != "paper":
        return laptop(about)
    return dataclasses.replace(published(about, ipc), start="noise")


def published(about: About, ipc: int) -> Config:
    """The protocol of DSA, and of DC but for its start."""
    outer, inner = LOOPS[max(size for size in LOOPS if size <= max(ipc, 1))]
    return Config(
        network=convnet(about, 128), iterations=NETWORKS * outer, outer_loop=outer, inner_loop=inner
    )


def laptop(about: About) -> Config:
    """At the size of minutes on two cores: 125 networks as they are drawn, 8 steps in each.

    The real images' gradients, the costly side, are taken once for these 8 steps, of 32 images. On
    images of up to 16 pixels the learning rate is a tenth. On validation images of digits, one set
    each of DSA at 1 image a class, 0.01, 0.03 and 0.1 ended alike (76 to 77 %; fresh gradients at
    each step too), and 0.01 left images nearest to real ones. Nothing was chosen on larger images.
    """
    return dataclasses.replace(
        published(about, 1),
        network=convnet(about, 32),
        iterations=1000,
        rate=0.01 if about.small else 0.1,
        outer_loop=8,
        inner_loop=0,
        real_batch=32,
    )


def convnet(about: About, width: int) -> str:
    """The field's network, whose last norm has 4x4 pixels at least.

    Of fewer, as 8x8 pixels leave in three blocks, an instance norm makes gradients so large and so
    different from network to network that the loss does not fall.
    """
    depth = min(about.depth, max(1, min(about.shape[1:]).bit_length() - 2))
    return f"convnet-d{depth}-w{width}-instance-relu-avg"


distill = functools.partial(match_gradients, augmented=False)
"""Learn `ipc` images of every class present; nothing is augmented. See `match_gradients`."""
