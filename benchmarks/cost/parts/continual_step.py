"""A training step in Avalanche against the same step in a bare loop."""

import time
from typing import Any

import torch

from benchmarks.costs.clock import Way, milliseconds, noise_images, ratio, take_turns
from distill import train
from distill.images import Data
from distill.runtime.compute import tune
from distill.runtime.progress import Progress
from distill.synthetic import SyntheticSet
from downstream import continual
from downstream.continual.protocol import Protocol

TITLE = "A training step of the continual benchmark through Avalanche"
NOTE = """\
One mini-batch for each network, width 32. bare: the same networks and mini-batches in a loop of our
own.
"""
CASES = (
    ("8x8, 1 image a class, 3 networks", (1, 8, 8), 1, 3),
    ("8x8, 10 images a class, 3 networks", (1, 8, 8), 10, 3),
    ("8x8, 1 image a class, 1 network", (1, 8, 8), 1, 1),
    ("32x32, 1 image a class, 3 networks", (3, 32, 32), 1, 3),
)
STEPS = 40
"""In one turn."""


def rows(turns: int, device: torch.device) -> list[dict[str, Any]]:
    """A row a size."""
    found = []
    for name, shape, ipc, networks in CASES:
        tune(device, shape)
        bare, avalanche = take_turns(loops(shape, ipc, networks, device), turns)
        found.append(
            {
                "step": name,
                "bare ms": milliseconds(bare, STEPS),
                "Avalanche ms": milliseconds(avalanche, STEPS),
                "ratio": ratio(avalanche, bare),
            }
        )
    return found


def loops(
    shape: tuple[int, int, int], ipc: int, networks: int, device: torch.device
) -> tuple[Way, Way]:
    """The same steps in a bare loop, and through Avalanche."""
    recipe = train.Recipe(epochs=STEPS)
    network = "convnet-d3-w32-instance-relu-avg"
    protocol = Protocol(1, 1, "retrain", networks, network, recipe, seed=0)
    real = noise_images(shape, 10, ipc)
    memory = SyntheticSet(real.images.float() / 255, real.labels, real.classes, {})
    (experience,) = continual.class_stream(Data(real, real), list(range(10)), [10])

    def bare() -> float:
        fresh = continual.fresh_networks(real, protocol, 0, 0, device).networks
        x, y = real.normalisation(memory.images).to(device), real.labels.to(device)
        generators = train.streams(0, networks)
        began = time.perf_counter()
        for _ in train.training(fresh, x, y, recipe=recipe, generators=generators):
            pass
        return time.perf_counter() - began

    def avalanche() -> float:
        buffer = continual.DistilledBuffer(real, lambda _: memory, max_size=10 * ipc)
        plugin = continual.Retrain(buffer, protocol, 0, Progress())
        strategy = continual.strategy_with(plugin, device)
        began = time.perf_counter()
        strategy.train(experience, eval_streams=[])
        return time.perf_counter() - began

    return bare, avalanche
