"""What a command takes: the arithmetic it asks for, over the measured speed of a machine.

All of it counts the convolutions and matrix products alone.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.cost.parts import step, training
from benchmarks.record import Record
from distill import gradients, learn, networks
from distill.recipes import Recipe

PIXELS = 2
"""Passes, each as long as one forward, that it takes to learn pixels: there, and back to them."""
WEIGHTS = 3
"""To train weights: there, back to them and back to the layer's input."""
TWICE = 9
"""To differentiate twice: as to train weights, and back through all of it."""


class Stages(NamedTuple):
    """FLOPs of a command, or FLOP/s of a machine, by stage."""

    distill: float
    train: float

    def hours(self, speed: "Stages") -> float:
        """How long so many FLOPs take at that speed, by the clock."""
        return (self.distill / speed.distill + self.train / speed.train) / 3600


@functools.cache
def forward(network: str, shape: tuple[int, int, int], classes: int) -> int:
    """FLOPs of an image's way through a network."""
    return networks.size(networks.parse(network), shape, classes)[1]


def distilling(config: Any, ipc: int, shape: tuple[int, int, int], classes: int) -> float:
    """FLOPs of making a set; to choose images counts nothing."""
    if not isinstance(config, learn.Config):
        return 0.0
    shown, real = ipc * config.formation**2, config.real_batch
    if isinstance(config, gradients.Config):
        inner = config.inner_loop * (config.outer_loop - 1) / config.outer_loop
        passes = config.iterations * (WEIGHTS * real + (TWICE + WEIGHTS * inner) * shown)
    else:
        targets = config.networks or config.iterations
        passes = targets * real + config.iterations * PIXELS * shown
    return passes * classes * forward(config.network, shape, classes)


def training_on(
    images: int, network: str, recipe: Recipe, shape: tuple[int, int, int], classes: int
) -> float:
    """FLOPs of training a network on so many images."""
    return images * recipe.epochs * WEIGHTS * forward(network, shape, classes)


def speeds(records: Sequence[Record]) -> dict[str, Stages]:
    """By machine: of the latest measured steps (`benchmarks.cost`), of matching and of training."""
    measured: dict[str, dict[str, float]] = {}
    for record in sorted(records, key=lambda r: (r.provenance.date, r.key)):
        if record.kind == "cost" and (own := _speed(record)):
            hardware = record.provenance.hardware
            cores = f"{hardware.cpu}, {hardware.cores} cores"
            measured.setdefault(hardware.gpu or cores, {}).update(own)
    return {
        machine: Stages(**own)
        for machine, own in sorted(measured.items())
        if own.keys() == {*Stages._fields}
    }


def _speed(record: Record) -> dict[str, float]:
    """Of the largest case, with the most threads and in the last precision; {} of other parts."""
    if record.protocol.part == "step":
        name, shape, width, ipc = step.CASES[0]
        network, passes = f"convnet-w{width}", step.CLASSES * (step.REAL + PIXELS * ipc)
        stage, column, unit = "distill", "compiled s", 1.0
    elif record.protocol.part == "training":
        name, case = training.CASES[0]
        network, shape, passes = case.network, case.shape, WEIGHTS
        stage, column, unit = "train", "now ms", 1e-3
    else:
        return {}
    rows = [row for row in record.results.rows if row.get("step") == name and column in row]
    if not rows:
        return {}
    row = max(enumerate(rows), key=lambda own: (own[1]["threads"], own[0]))[1]
    return {stage: passes * forward(network, shape, step.CLASSES) / (row[column] * unit)}
