"""A training step in Avalanche against the same step in a bare loop."""

from benchmarks.cost.clock import Moments, computing, milliseconds, ratio, take_turns
from benchmarks.cost.settings import Timing
from benchmarks.cost.work import Shape, noise_images
from distill import plan
from distill.images import Data
from distill.methods import random
from distill.runtime.compute import Compute
from distill.training import train
from distill.training.recipes import Recipe
from downstream.continual.protocol import Protocol
from downstream.continual.run import run_order
from downstream.continual.strategies import fresh_networks

TITLE = "A training step of the continual benchmark through Avalanche"
NOTE = """\
One mini-batch for each network, width 32. bare: the same networks and mini-batches in a loop of our
own. Both are timed from the end of their first step on.
"""
CASES = (
    ("8x8, 1 image a class, 3 networks", (1, 8, 8), 1, 3),
    ("8x8, 10 images a class, 3 networks", (1, 8, 8), 10, 3),
    ("8x8, 1 image a class, 1 network", (1, 8, 8), 1, 1),
    ("32x32, 1 image a class, 3 networks", (3, 32, 32), 1, 3),
)
STEPS = 40
"""Timed in one turn."""


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a size, on all threads and in the last precision."""
    table = []
    for name, shape, ipc, networks in CASES:
        compute = settings.usual(shape)
        with computing(compute):
            loops = Loops(shape, ipc, networks, compute)
            bare, avalanche = take_turns([loops.bare, loops.avalanche], settings.turns)
        table.append(
            {
                "step": name,
                "precision": compute.precision,
                "threads": compute.threads,
                "bare ms": milliseconds(bare, STEPS),
                "Avalanche ms": milliseconds(avalanche, STEPS),
                "times": ratio(avalanche, bare),
            }
        )
    return table


class Loops:
    """The same steps in a bare loop and through Avalanche: one experience of 10 classes."""

    def __init__(self, shape: Shape, ipc: int, networks: int, compute: Compute) -> None:
        self.ipc, self.compute = ipc, compute
        self.real = noise_images(shape, 10, ipc)
        self.protocol = Protocol(
            steps=1,
            strategy="retrain",
            network="convnet-w32",
            networks=networks,
            recipe=Recipe(epochs=STEPS + 1),
            seed=0,
            orders=1,
            sets=1,
        )
        assert self.protocol.recipe.batches(10 * ipc) == 1, "an epoch is a step"
        asked = plan.Plan("random", random.Config(), ipc)
        self.memory = plan.distill(asked, self.real, compute=compute)

    def bare(self) -> float:
        """Seconds of STEPS steps in a bare loop."""
        device, moments = self.compute.device, Moments()
        model = fresh_networks(self.real, self.protocol, order=0, step=0, device=device)
        images, labels = self.memory.decoded()
        steps = train.training(
            model.networks,
            self.real.normalisation(images).to(device),
            labels.to(device),
            recipe=self.protocol.recipe,
            generators=train.streams(0, self.protocol.networks, 0, 0),
            compute=self.compute,
        )
        for _, loss in steps:
            moments.advance(note=f"{loss.item()}")  # waits for a GPU, as Avalanche's loop does
        return moments.seconds()

    def avalanche(self) -> float:
        """Seconds of STEPS steps in Avalanche."""
        moments = Moments()
        run_order(
            Data(self.real, self.real),
            lambda _: self.memory,
            ipc=self.ipc,
            protocol=self.protocol,
            order=0,
            compute=self.compute,
            progress=moments,
        )
        return moments.seconds()
