"""What a command takes: the arithmetic it asks for, over the measured speed of a machine.

All of it counts the convolutions and matrix products alone, at one speed for every size: a GPU
takes many times as long on few images.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.cost.parts import step, training
from benchmarks.record import Record
from distill import datasets, learn, networks
from distill.methods import forgetting, herding
from distill.objectives import gradients
from distill.runtime import registry
from distill.runtime.mistake import Mistake
from distill.training.recipes import Recipe

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


def making(config: Any, ipc: int, images: int, shape: tuple[int, int, int], classes: int) -> float:
    """FLOPs of making a set of so many real images, learned or chosen."""
    learned = distilling(config, ipc, shape, classes)
    return learned + choosing(config, images, shape, classes)


def choosing(config: Any, images: int, shape: tuple[int, int, int], classes: int) -> float:
    """FLOPs of looking at so many real images to choose from; 0 of random ones.

    0 of learned ones too, as presets have them: none begins with chosen images.
    """
    if isinstance(config, forgetting.Config):
        passes = config.passes * (WEIGHTS + 1)
    elif isinstance(config, herding.Config):  # that of kcenter too
        passes = config.networks
    else:
        return 0.0
    return images * passes * forward(config.network, shape, classes)


def distilling(config: Any, ipc: int, shape: tuple[int, int, int], classes: int) -> float:
    """FLOPs of learning a set; 0 of chosen images."""
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
    """By machine, the slowest first: of each stage that of the latest measured steps.

    Where `benchmarks.cost` measured none, that of the longest run of `benchmarks.classification`.
    """
    measured: dict[str, dict[str, tuple[tuple, float]]] = {}
    for record in records:
        hardware = record.provenance.hardware
        machine = hardware.gpu or f"{hardware.cpu}, {hardware.cores} cores"
        own = measured.setdefault(machine, {})
        for stage, (flops, rate) in _rates(record).items():
            place = (record.kind == "cost", flops, record.provenance.date, record.key)
            own[stage] = max(own.get(stage, (place, rate)), (place, rate))
    whole = {
        machine: Stages(**{stage: rate for stage, (_, rate) in own.items()})
        for machine, own in measured.items()
        if own.keys() == {*Stages._fields}
    }
    return dict(sorted(whole.items(), key=lambda item: item[1].train))


def _rates(record: Record) -> dict[str, tuple[float, float]]:
    """By stage the FLOPs that stand for a record, alike for measured steps, and the FLOP/s."""
    if record.kind == "cost":
        return {stage: (0.0, rate) for stage, rate in _speed(record).items()}
    if record.kind != "classification":
        return {}
    making, p, used = record.cell.making, record.protocol, record.sets
    try:
        shape = datasets.about(p.dataset.name).shape
        config = registry.load("distill.methods", making.method).Config(**making.config)
    except Mistake:
        return {}
    own, classes = {}, used[0].images // making.ipc
    seconds = sum(one.seconds for one in used)
    plain = "{" not in getattr(config, "network", "") and not getattr(config, "trained", 0)
    if isinstance(config, learn.Config) and plain and seconds:
        made = distilling(config, making.ipc, shape, classes) * making.sets
        own["distill"] = (made, made / seconds)
    shown = making.ipc * classes * config.formation**2
    one = training_on(shown, p.network, p.recipe, shape, classes)
    whole = one * making.sets * record.cell.networks
    if record.cost.seconds.get("train"):
        own["train"] = (whole, whole / record.cost.seconds["train"])
    return own


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
