"""What a record of networks trained on small sets alone holds."""

from typing import Any

from benchmarks import schema
from benchmarks.schema import Dataset, Making, facts
from distill.images import About
from distill.training.recipes import Recipe

VERSION = 1


def usual_network(about: About) -> str:
    """The network that judges where none is asked for, the field's."""
    return f"convnet-d{about.depth}-w128-instance-relu-avg"


@facts
class Protocol:
    """What rows of one table share.

    Attributes:
        network, recipe: of the training. normalisation: of all images, ZCA included.
        precision: of convolutions and matrix products, in distilling and in training.
    """

    dataset: Dataset
    network: str
    recipe: Recipe
    normalisation: dict[str, Any]
    precision: str = "float32"


@facts
class Cell:
    """What sets a row apart: how its sets are made, and how many networks are trained on each."""

    making: Making
    networks: int


@facts
class Results:
    """accuracies: [set][network], in percent."""

    accuracies: list[list[float]]


def name(protocol: Protocol, cell: Cell) -> str:
    """`cifar10-datadam-ipc1`."""
    return f"{protocol.dataset.name}-{cell.making.method}-ipc{cell.making.ipc}"


def versions(protocol: Protocol, cell: Cell) -> schema.Versions:
    """What a record was made with."""
    return schema.versions(cell.making, protocol.dataset)
