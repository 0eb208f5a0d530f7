"""Several networks trained on one small set: `distill.train.fit` against the published shape."""

import copy
from collections.abc import Sequence

import torch

from benchmarks.cost import floor, reference
from benchmarks.cost.clock import (
    Way,
    computing,
    milliseconds,
    ratio,
    take_turns,
    timed,
    usual_memory,
)
from benchmarks.cost.work import Shape, noise_images
from distill import train
from distill.networks import build_many, parse
from distill.runtime.compute import Compute
from distill.runtime.seeding import generator
from distill.stack import Grouped, stack

TITLE = "A training step of 5 networks on one small set"
NOTE = """\
One mini-batch for each of 5 networks, DSA included. one by one: benchmarks/cost/reference.py, each
network alone; the tests hold both to the same trained networks. fit: as `distill.train.fit` does
it, in the stated way and on so many threads. floor: the convolutions of fit alone, forward and
back, in the same way, on as many threads, in the same run.
"""
CASES = (
    ("8x8, width 32, 1 a class", (1, 8, 8), 32, 1),
    ("8x8, width 32, 10 a class", (1, 8, 8), 32, 10),
    ("32x32, width 32, 1 a class", (3, 32, 32), 32, 1),
    ("32x32, width 32, 10 a class", (3, 32, 32), 32, 10),
    ("32x32, width 128, 1 a class", (3, 32, 32), 128, 1),
    ("32x32, width 128, 10 a class", (3, 32, 32), 128, 10),
)
COUNT = 5
STEPS = 8
"""In one turn."""


def rows(turns: int, device: torch.device) -> list[dict[str, float | int | str]]:
    """A row a size."""
    table = []
    for name, shape, width, ipc in CASES:
        threads = torch.get_num_threads()
        with computing(device, shape) as compute:
            work = Training(shape, f"convnet-w{width}", ipc, compute)
            times = take_turns(work.ways(threads), turns)
            own = {"way": work.way, "threads": compute.threads or threads}
        table.append({"5 networks": name, **columns(*times), **own})
    return table


def columns(
    slow: Sequence[float], fast: Sequence[float], alone: Sequence[float]
) -> dict[str, float]:
    """Of the seconds that STEPS steps took one by one, in fit, and as convolutions alone."""
    return {
        "one by one ms": milliseconds(slow, STEPS),
        "fit ms": milliseconds(fast, STEPS),
        "times faster": ratio(slow, fast),
        "floor ms": milliseconds(alone, STEPS),
        "fit / floor": ratio(fast, alone),
    }


class Training:
    """COUNT networks and a small set of `ipc` images a class of 10 classes."""

    def __init__(self, shape: Shape, network: str, ipc: int, compute: Compute) -> None:
        self.shape, self.spec, self.compute = shape, parse(network), compute
        real = noise_images(shape, 10, ipc)
        self.images = real.normalisation(real.images).to(compute.device)
        self.labels = real.labels.to(compute.device)
        self.recipe = train.Recipe(epochs=STEPS)
        assert self.recipe.batches(len(self.images)) == 1, "an epoch is a step"
        streams = [generator(0, "network", k) for k in range(COUNT)]
        networks = build_many(self.spec, shape, classes=10, generators=streams)
        self.networks = [network.to(compute.device) for network in networks]
        self.others = copy.deepcopy(self.networks)
        self.grouped = isinstance(stack(self.networks, shape), Grouped)
        self.way = "grouped convolutions" if self.grouped else "one after the other"

    def ways(self, threads: int) -> list[Way]:
        """One by one on so many threads, fit, and the floor."""
        alone = floor.training(
            self.spec,
            self.shape,
            len(self.images),
            self.compute.device,
            networks=COUNT,
            grouped=self.grouped,
        )

        def convolutions() -> None:
            for _ in range(STEPS):
                alone()

        def one_by_one() -> None:
            torch.set_num_threads(threads)
            with usual_memory():
                self.one_by_one()
            self.compute.enter()

        return [timed(one_by_one), timed(self.fit, again=True), timed(convolutions, again=True)]

    def one_by_one(self) -> None:
        """STEPS steps in the published shape."""
        for k, network in enumerate(self.others):
            reference.train(network, self.images, self.labels, recipe=self.recipe, k=k)

    def fit(self) -> None:
        """STEPS steps of the suite's own loop."""
        train.fit(self.networks, self.images, self.labels, recipe=self.recipe, seed=0)
