"""Real images chosen at random; a smaller set is a prefix of a larger one."""

import dataclasses

import torch
from torch import Tensor

from distill import presets
from distill.images import About, ImageSet
from distill.runtime.compute import Compute
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.settings import Settings

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Nothing to configure."""


def preset(about: About, ipc: int, name: str) -> Config:
    """The one configuration there is."""
    presets.require(name)
    return Config()


def distill(
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
) -> Tensor:
    """Choose `ipc` images of every class present, without replacement.

    Returns:
        float32 [G, ipc, C, H, W] in pixel units, ordered by class id.
    """
    chosen = []
    for label in real.present:
        pixels = real.of_class(label)
        order = torch.randperm(len(pixels), generator=generator(seed, "random", label))
        chosen.append(pixels[order[:ipc]])
    return torch.stack(chosen).float() / 255
