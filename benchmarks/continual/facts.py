"""What a record of class-incremental learning holds."""

from typing import Any

from benchmarks import schema
from benchmarks.schema import Dataset, Making, facts
from distill.recipes import Recipe
from downstream.continual.protocol import VERSION as TODAY

VERSION = 1


@facts
class Protocol:
    """What rows of one table share.

    Attributes:
        version: of `downstream.continual.protocol`.
        steps, strategy, network, recipe: as there. normalisation: of all images.
        precision: of convolutions and matrix products, in distilling and in training.
    """

    version: int
    dataset: Dataset
    steps: int
    strategy: str
    network: str
    recipe: Recipe
    normalisation: dict[str, Any]
    precision: str = "float32"


@facts
class Cell:
    """What sets a row apart: how its sets are made, and how many runs there are.

    Attributes:
        orders: class orders; order o uses set o mod making.sets. networks: trained in each.
    """

    making: Making
    orders: int
    networks: int


@facts
class Results:
    """The accuracies.

    Attributes:
        sizes: [order][step], test images of the step's classes.
        matrices: [order][network][step][step], see `downstream.continual.metrics`.
        memory_bytes: that the whole memory takes after the last step, mean over the sets.
    """

    sizes: list[list[int]]
    matrices: list[list[list[list[float | None]]]]
    memory_bytes: int


def name(protocol: Protocol, cell: Cell) -> str:
    """`digits-datadam-ipc1-retrain`."""
    parts = [protocol.dataset.name, cell.making.method, f"ipc{cell.making.ipc}", protocol.strategy]
    return "-".join(parts)


def versions(protocol: Protocol, cell: Cell) -> schema.Versions:
    """What a record was made with."""
    own = ("the continual protocol", protocol.version, TODAY)
    return [*schema.versions(cell.making, protocol.dataset), own]
