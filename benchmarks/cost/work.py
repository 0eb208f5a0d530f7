"""The work that is timed: a matching step, ours and in its published shape, on images of noise."""

import dataclasses
import functools
import sys
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.cost import reference
from benchmarks.cost.clock import usual_memory
from distill import learn
from distill.images import About, ImageSet, Normalisation
from distill.matching import Matching, Vectors
from distill.methods import datadam
from distill.networks import Network
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator

Shape = tuple[int, int, int]
"""(channels, height, width) of an image."""


@dataclasses.dataclass(frozen=True)
class Size:
    """Of a faithful matching step of DataDAM: a fresh network and fresh targets at every step.

    Attributes:
        shape: of an image. network: a ConvNet's name. ipc: synthetic images a class. real: real
            images a class.
    """

    shape: Shape
    network: str
    classes: int
    ipc: int
    real: int

    def images(self) -> ImageSet:
        """The real images: noise."""
        return noise_images(self.shape, self.classes, max(self.real, self.ipc))

    def config(self, *, compiled: bool = False) -> datadam.Config:
        """DataDAM's configuration."""
        return datadam.Config(network=self.network, real_batch=self.real, compiled=compiled)


class Pieces(NamedTuple):
    """How many images pass through the network at a time in one step."""

    real: list[int]
    synthetic: list[int]


def noise_images(shape: Shape, classes: int, per_class: int) -> ImageSet:
    """Images of random pixels: time does not depend on what they show."""
    stream = generator(0, "noise images")
    pixels = torch.randint(0, 256, (classes * per_class, *shape), generator=stream)
    labels = torch.arange(classes).repeat_interleave(per_class)
    names = tuple(map(str, range(classes)))
    about = About("noise", Normalisation.fixed(shape[0]), shape, names)
    return ImageSet.sorted(about, pixels.to(torch.uint8), labels)


def first_images(size: Size, real: ImageSet, device: torch.device) -> Tensor:
    """The synthetic images [G, ipc, C, H, W] of the first step."""
    return learn.first_images(real, size.ipc, config=size.config(), seed=0).to(device)


def step(size: Size, device: torch.device, *, compiled: bool = False) -> Callable[[], object]:
    """A matching step of ours, to be called; `compiled` as with --method.compiled."""
    config, real = size.config(compiled=compiled), size.images()
    statistic = functools.partial(datadam.statistic, config=config)
    objective = Matching(statistic, real, config, 0, device)
    objective.prepare(Progress(sys.stderr))
    return functools.partial(objective.step, first_images(size, real, device), 0)


def reference_step(size: Size, device: torch.device) -> Callable[[], object]:
    """The same in its published shape."""
    config, real = size.config(), size.images()
    images = first_images(size, real, device).requires_grad_()

    def work() -> None:
        with usual_memory():
            reference.loss(images, real, config).backward()
            images.grad = None

    return work


def pieces(size: Size, device: torch.device) -> Pieces:
    """The pieces of our matching step, noted in one."""
    config, real, noted = size.config(), size.images(), Pieces([], [])

    def statistic(network: Network, images: Tensor) -> list[Vectors]:
        (noted.synthetic if images.requires_grad else noted.real).append(len(images))
        return datadam.statistic(network, images, config=config)

    Matching(statistic, real, config, 0, device).step(first_images(size, real, device), 0)
    return noted
