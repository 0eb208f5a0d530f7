"""What the pages of class-incremental learning share: the runs of a record, what its rows hold."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import evidence
from benchmarks.evidence import Estimate, Run
from benchmarks.order import in_order
from benchmarks.page import at_precision, counted, counts
from benchmarks.record import Record
from downstream.continual import metrics
from downstream.continual.reference import WITHOUT_SETS

Measure = Callable[[Any, list[int]], float | None]
"""Of a matrix and its sizes."""
MEASURES: dict[str, tuple[Measure, tuple[float, float]]] = {
    "final": (metrics.final_accuracy, evidence.PERCENT),
    "incremental": (metrics.average_incremental_accuracy, evidence.PERCENT),
    "forgetting": (lambda matrix, sizes: metrics.forgetting(matrix), (-100.0, 100.0)),
    "transfer": (lambda matrix, sizes: metrics.backward_transfer(matrix), (-100.0, 100.0)),
}
"""What is measured of a run, and what it can be."""


def base(record: Record) -> str:
    """What the page of a record is called, where no other page is called so."""
    protocol = record.protocol
    parts = ["continual", protocol.dataset.name, f"{protocol.steps}-steps", protocol.strategy]
    judged = protocol.dataset.judged_on
    return "-".join([*parts, *([judged] if judged != "test" else [])])


def title(record: Record) -> str:
    """What its protocol is, in one line."""
    p = record.protocol
    judged = "" if p.dataset.judged_on == "test" else f" (judged on {p.dataset.judged_on} images)"
    return (
        f"{p.dataset.name}, {p.steps} steps, {p.strategy}{judged}{at_precision(p.precision)}: "
        f"{p.network}, "
        f"{counted(p.recipe.epochs, 'epoch')}, batch {p.recipe.batch}, rate {p.recipe.rate:g}"
        f"{', CutMix' if p.recipe.cutmix else ''}{'' if p.recipe.operations else ', no DSA'}"
    )


def sized(record: Record) -> bool:
    """Whether its memory has so many images a class; naive and joint are the same at every size."""
    return record.cell.making.method not in WITHOUT_SETS


def sizes(records: Sequence[Record]) -> list[int]:
    """The different numbers of images a class, rising."""
    return sorted({record.cell.making.ipc for record in records if sized(record)})


def classes(record: Record) -> int:
    """How many there are."""
    if record.results.classes is not None:
        return record.results.classes
    return sum(s.images for s in record.sets) // record.cell.making.ipc // record.cell.making.sets


def runs(record: Record, measure: Measure, *, like: Record | None = None) -> list[Run]:
    """`measure(matrix, sizes)` of every network of every order; without those that have none.

    Args:
        like: whose numbers of sets the runs get, where `record` has no sets of its own.
    """
    found, sets = record.results, record.cell.making.sets
    if like is not None and not sized(record):
        sets = like.cell.making.sets
    return [
        Run(order % sets, order, network, value)
        for order, (images, matrices) in enumerate(zip(found.sizes, found.matrices, strict=True))
        for network, matrix in enumerate(matrices)
        if (value := measure(matrix, images)) is not None
    ]


def final(record: Record) -> Estimate:
    """The mean accuracy after the last step, in percent."""
    measure, within = MEASURES["final"]
    return evidence.estimate(runs(record, measure), within=within)


def n(record: Record) -> str:
    """How many runs, and of what; some rows have no sets."""
    return counts(final(record), with_sets=sized(record))


def n_of_all(records: Sequence[Record]) -> str:
    """n of all rows in one line: `5 (5 class orders, 3 sets); naive has no sets`.

    What has no sets is named, where it has as many runs as a row with them; else its own n is said.
    """
    own = {n(record) for record in records if sized(record)}
    runs_alike = {counts(final(record), with_sets=False) for record in records if sized(record)}
    bare = [record for record in records if not sized(record)]
    own |= {n(record) for record in bare if n(record) not in runs_alike}
    named = in_order(record.label for record in bare if n(record) in runs_alike)
    verb = "has" if len(named) == 1 else "have"
    more = f"; {' and '.join(named)} {verb} no sets" if named else ""
    return " or ".join(sorted(own)) + more


def is_plain(record: Record, buffer: str) -> bool:
    """Whether it is that buffer as a preset has it; at the method's defaults, whichever preset."""
    making = record.cell.making
    return record.label == buffer or (making.method == buffer and not making.config)


def minus(record: Record, other: Record) -> Estimate | None:
    """The paired difference of the final accuracies; None where not every run has its partner."""
    if record.cell.making.seed != other.cell.making.seed:
        return None
    pair = (record, other), (other, record)
    return evidence.paired(*(runs(a, metrics.final_accuracy, like=b) for a, b in pair))


def minus_buffer(
    record: Record, buffer: str, records: Sequence[Record], *, ipc: int
) -> Estimate | None:
    """The paired difference of the final accuracy to `buffer` with so many images a class."""
    if record.label == buffer:
        return None
    paired = [
        minus(record, other)
        for other in records
        if other.key != record.key and is_plain(other, buffer) and other.cell.making.ipc == ipc
    ]
    return next((estimate for estimate in paired if estimate is not None), None)
