"""The work that is timed: a matching step, ours and in its published shape, on images of noise."""

import dataclasses
import functools
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.cost import floor, reference
from benchmarks.cost.clock import usual_memory
from distill import learn
from distill.images import About, ImageSet, Normalisation
from distill.methods import datadam
from distill.objectives.matching import Matching
from distill.runtime.compute import Compute
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator

Shape = tuple[int, int, int]
"""(channels, height, width) of an image."""


@dataclasses.dataclass(frozen=True)
class MatchingSize:
    """What a faithful matching step of DataDAM is measured on: fresh networks, fresh targets.

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

    def config(self) -> datadam.Config:
        """DataDAM's configuration."""
        return datadam.Config(network=self.network, real_batch=self.real)


def noise_images(shape: Shape, classes: int, per_class: int) -> ImageSet:
    """Images of random pixels: time does not depend on what they show."""
    stream = generator(0, "noise images")
    pixels = torch.randint(0, 256, (classes * per_class, *shape), generator=stream)
    labels = torch.arange(classes).repeat_interleave(per_class)
    names = tuple(map(str, range(classes)))
    about = About("noise", Normalisation.fixed(shape[0]), shape, names)
    return ImageSet.sorted(about, pixels.to(torch.uint8), labels)


def first_images(size: MatchingSize, real: ImageSet, device: torch.device) -> Tensor:
    """The synthetic images [G, ipc, C, H, W] of the first step."""
    return learn.first_images(real, size.ipc, config=size.config(), seed=0).to(device)


def matching(size: MatchingSize, compute: Compute) -> Matching:
    """The objective of a matching step of ours."""
    config = size.config()
    return Matching(
        functools.partial(datadam.statistic, config=config),
        size.images(),
        size.ipc,
        config=config,
        seed=0,
        compute=compute,
    )


def step(size: MatchingSize, compute: Compute) -> Callable[[], object]:
    """A matching step of ours, to be called; what is compiled is so already."""
    objective = matching(size, compute)
    objective.prepare(Progress(sys.stderr))
    return functools.partial(objective.step, first_images(size, objective.real, compute.device), 0)


def reference_step(size: MatchingSize, device: torch.device) -> Callable[[], object]:
    """The same in its published shape, in float32."""
    config, real = size.config(), size.images()
    images = first_images(size, real, device).requires_grad_()

    def work() -> None:
        with usual_memory():
            reference.loss(images, real, config).backward()
            images.grad = None

    return work


def floor_of_step(size: MatchingSize, compute: Compute) -> floor.Floor:
    """The convolutions of our matching step alone, in the same pieces."""
    plain = dataclasses.replace(compute, compile="never")
    layers = floor.layers(matching(size, plain).network, size.shape)
    return floor.matching(layers, floor.pieces(step(size, plain), len(layers)), compute)
