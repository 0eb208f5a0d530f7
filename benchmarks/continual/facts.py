"""What a record of class-incremental learning holds."""

from typing import Any

from benchmarks import schema
from benchmarks.schema import Dataset, Making, facts
from distill.plan import Plan
from distill.training.recipes import Recipe
from downstream.continual import reference
from downstream.continual.protocol import VERSION as TODAY
from downstream.continual.reference import Reference

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
        making: its method may also be one of `downstream.continual.reference.NAMES`. Of `naive` and
            `joint` there are no images a class to choose (ipc 0) and no sets (1: all runs alike).
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
        classes: of the dataset; None in a record of the time before references.
    """

    sizes: list[list[int]]
    matrices: list[list[list[list[float | None]]]]
    memory_bytes: int
    classes: int | None = None


def making(plan: Plan | Reference, *, seed: int, sets: int) -> Making:
    """How the memory is made."""
    if not isinstance(plan, Reference):
        return schema.making(plan, seed=seed, sets=sets)
    version = reference.VERSION
    return Making(
        method=plan.method, version=version, config={}, ipc=plan.ipc, seed=seed, sets=sets
    )


def name(protocol: Protocol, cell: Cell) -> str:
    """`digits-datadam-ipc1-retrain`."""
    return words(protocol.dataset.name, cell.making.method, cell.making.ipc, protocol.strategy)


def words(dataset: str, method: str, ipc: int, strategy: str) -> str:
    """What a cell is called: without images a class where there is no number of them."""
    return "-".join([dataset, method, *([f"ipc{ipc}"] if ipc else []), strategy])


def versions(protocol: Protocol, cell: Cell) -> schema.Versions:
    """What a record was made with."""
    own = ("the continual protocol", protocol.version, TODAY)
    if cell.making.method in reference.NAMES:
        memory = ("the memory", cell.making.version, reference.VERSION)
        return [*schema.versions(None, protocol.dataset), memory, own]
    return [*schema.versions(cell.making, protocol.dataset), own]
