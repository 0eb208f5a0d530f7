"""What the pages of classification share: the runs of a record, and what their rows hold."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks import evidence
from benchmarks.evidence import Estimate, Run
from benchmarks.page import at_precision
from benchmarks.record import Record
from distill.runtime import registry
from distill.training import recipes
from distill.training.recipes import Recipe

REFERENCE, OURS = "random", "datadam"
"""The methods that the others are compared with."""
MINUS, MINUS_OURS = f"minus {REFERENCE}", f"minus {OURS}"


def base(record: Record) -> str:
    """What the page of a record is called, where no other page is called so."""
    protocol = record.protocol
    parts = ["classification", protocol.dataset.name]
    parts += [protocol.dataset.judged_on] if protocol.dataset.judged_on != "test" else []
    own = called(protocol, protocol.recipe).split(",")[0]
    return "-".join([*parts, *([own] if own in ("idc", "dc") else [])])  # others tell their epochs


def told_alike(record: Record, records: Sequence[Record], method: str) -> list[Record]:
    """Those of a method with the settings of a record's set, as far as the method has them."""
    config = registry.load("distill.methods", method).Config
    known = [field.name for field in dataclasses.fields(config)]
    told = {n: value for n, value in record.cell.making.config.items() if n in known}
    made = [(other, other.cell.making) for other in records]
    return [other for other, own in made if (own.method, own.config) == (method, told)]


def called(protocol: Any, recipe: Recipe) -> str:
    """The name of a recipe on the protocol's dataset."""
    return recipes.called(recipe, without=protocol.dataset.without)


def setting(protocol: Any) -> str:
    """The images and the network, in words: the beginning of a title."""
    zca = "with ZCA" if protocol.normalisation["zca"] else "without ZCA"
    judge = protocol.dataset.judged_on
    judged = "" if judge == "test" else f" (judged on {judge} images)"
    name = protocol.dataset.name
    low = at_precision(protocol.precision)
    return f"{name}{judged}, {zca}{low}: {protocol.network} trained on the small set alone"


def runs(record: Record) -> list[Run]:
    """The accuracy of every network."""
    return [
        Run(number, 0, network, accuracy)
        for number, own in enumerate(record.results.accuracies)
        for network, accuracy in enumerate(own)
    ]


def accuracy(record: Record) -> Estimate:
    """The mean accuracy, in percent."""
    return evidence.estimate(runs(record), within=evidence.PERCENT)


def minus(record: Record, other: Record) -> Estimate | None:
    """The paired difference of the accuracies; None where not every run has its partner."""
    if record.cell.making.seed != other.cell.making.seed:
        return None
    return evidence.paired(runs(record), runs(other))


def minus_reference(record: Record, records: Sequence[Record]) -> Estimate | None:
    """The paired difference to the sets of `REFERENCE` among records of one protocol."""
    if record.cell.making.method == REFERENCE:
        return None
    return _minus_first(record, [o for o in records if o.cell.making.method == REFERENCE])


def minus_ours(record: Record, records: Sequence[Record]) -> Estimate | None:
    """The paired difference to the row of `OURS` told in the same words, else to the plain one."""
    told = record.label.removeprefix(record.cell.making.method)
    labels = [label for label in (f"{OURS}{told}", OURS) if label != record.label]
    return _minus_first(record, [o for label in labels for o in records if o.label == label])


def _minus_first(record: Record, others: Sequence[Record]) -> Estimate | None:
    """To the first of as many images that has every partner."""
    ipc = record.cell.making.ipc
    paired = (minus(record, other) for other in others if other.cell.making.ipc == ipc)
    return next((estimate for estimate in paired if estimate is not None), None)


def numbers(row: dict[str, Any], *estimates: str) -> dict[str, Any]:
    """A row of a CSV file: each of the `estimates` becomes three plain numbers."""
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if name in estimates:
            parts = (value.mean, value.low, value.high) if value else (None, None, None)
            rounded = (part if part is None else round(part, 3) for part in parts)
            plain |= dict(zip((name, f"{name} low", f"{name} high"), rounded, strict=True))
        else:
            plain[name] = value
    return plain
