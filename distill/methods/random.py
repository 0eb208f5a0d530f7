"""Real images chosen at random; a smaller set is a prefix of a larger one."""

import dataclasses

import torch

from distill import presets
from distill.images import ImageSet
from distill.progress import Progress
from distill.seeding import generator
from distill.synthetic import SyntheticSet, made_by, require_ipc

REDRAWN = True


@dataclasses.dataclass(frozen=True)
class Config:
    """Nothing to configure."""

    couples_classes = False


def preset(dataset: str, ipc: int, name: str) -> Config:
    """The one configuration there is."""
    presets.require(name)
    return Config()


def distill(
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> SyntheticSet:
    """Choose `ipc` images of every class present, without replacement.

    Returns:
        Images [classes * ipc, C, H, W], ordered by class id.

    Raises:
        Mistake: ipc below 1 or above the smallest class.
    """
    require_ipc(real, ipc)
    chosen = []
    for label in real.present:
        pixels = real.of_class(label)
        order = torch.randperm(len(pixels), generator=generator(seed, "random", label))
        chosen.append(pixels[order[:ipc]])
    images = torch.cat(chosen).float() / 255
    labels = torch.tensor(real.present).repeat_interleave(ipc)
    return made_by("random", real, ipc=ipc, config=config, seed=seed, images=images, labels=labels)
