"""The work that is timed: training steps, ours and in their published shape, on images of noise."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from benchmarks.cost import floor, reference
from benchmarks.cost.clock import usual_memory
from benchmarks.cost.work import Shape, noise_images
from distill.networks import Network, build_many, parse
from distill.runtime.compute import Compute
from distill.runtime.seeding import generator
from distill.training import train
from distill.training.recipes import Recipe
from distill.training.stack import Grouped, stack

ENDLESS = Recipe(epochs=10**6)
"""The published recipe for as many steps as are asked for; the rate does not fall before."""


@dataclasses.dataclass(frozen=True)
class TrainingSize:
    """What a training step is measured on.

    Attributes:
        shape: of an image. network: a ConvNet's name. images: of a set of 10 classes; at most one
            mini-batch, so that an epoch is a step. networks: trained side by side, each on all
            images.
    """

    shape: Shape
    network: str
    images: int
    networks: int = 1

    def set(self, compute: Compute) -> tuple[Tensor, Tensor]:
        """Normalised images and their labels."""
        assert self.images % 10 == 0 and ENDLESS.batches(self.images) == 1
        real = noise_images(self.shape, 10, self.images // 10)
        return real.normalisation(real.images).to(compute.device), real.labels.to(compute.device)

    def fresh(self, compute: Compute) -> list[Network]:
        """Networks that nobody has trained."""
        streams = [generator(0, "network", k) for k in range(self.networks)]
        networks = build_many(parse(self.network), self.shape, classes=10, generators=streams)
        return [network.to(compute.device) for network in networks]


def steps(size: TrainingSize, compute: Compute) -> Iterator[object]:
    """Steps of the suite's own loop, one each time the next is asked for."""
    return train.training(
        size.fresh(compute),
        *size.set(compute),
        recipe=ENDLESS,
        generators=train.streams(0, size.networks),
        compute=compute,
    )


def ours(size: TrainingSize, count: int, compute: Compute) -> Callable[[], object]:
    """So many further steps of the suite's own loop."""
    endless = steps(size, compute)
    return lambda: [None for _ in itertools.islice(endless, count)]


def before(size: TrainingSize, count: int, compute: Compute) -> Callable[[], object]:
    """So many steps in the published shape: one network after the other, the batch as a whole."""
    networks, (images, labels) = size.fresh(compute), size.set(compute)
    recipe = dataclasses.replace(ENDLESS, epochs=count)

    def work() -> None:
        with usual_memory():
            for k, network in enumerate(networks):
                reference.train(network, images, labels, recipe=recipe, k=k)

    return work


def layers(size: TrainingSize, compute: Compute) -> Sequence[floor.Convolution]:
    """The convolutions of one network, or of all where they are grouped."""
    networks = size.fresh(compute)
    own = floor.layers(networks[0], size.shape)
    grouped = isinstance(stack(networks, size.shape), Grouped)
    return [layer.grouped(size.networks) for layer in own] if grouped else own


def floor_of_step(size: TrainingSize, compute: Compute) -> floor.Floor:
    """The convolutions of one of our steps alone, in the same pieces."""
    plain = dataclasses.replace(compute, compile="never")
    own = layers(size, plain)
    endless = steps(size, plain)
    return floor.training(own, floor.pieces(lambda: next(endless), len(own)), compute)
