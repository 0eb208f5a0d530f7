"""DSA (Zhao and Bilen, ICML 2021): DC with one augmentation for real and synthetic images alike."""

import functools

from distill import presets
from distill.images import About
from distill.methods.dc import laptop, published
from distill.objectives.gradients import Config as Config
from distill.objectives.gradients import match_gradients

VERSION = 1


def preset(about: About, ipc: int, name: str) -> Config:
    """laptop and paper: those of DC, augmented, and paper begins with real images (`methods.dc`).

    See the paper's Table 1 (CIFAR-10: 28.8, 52.1, 60.6 % at 1, 10, 50 images a class; networks
    trained on them by the recipe `dm`).
    """
    return published(about, ipc) if presets.require(name) == "paper" else laptop(about)


distill = functools.partial(match_gradients, augmented=True)
"""Learn `ipc` images of every class present; the dataset's operations augment them.

See `distill.objectives.gradients.match_gradients`.
"""
