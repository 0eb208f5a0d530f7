"""What results/ shows of networks trained on small sets alone."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks import beside, evidence
from benchmarks.evidence import Estimate, Run
from benchmarks.figures import in_order
from benchmarks.page import (
    Page,
    Table,
    counts,
    difference,
    interval,
    labels,
    made_with,
    names_for_people,
)
from benchmarks.record import Record
from benchmarks.reported import Reported

REFERENCE = "random"
"""The method that the others are compared with."""
NOTE = """\
Test accuracy in percent of fresh networks trained on the small set alone, with its 95 % interval;
minus random: the paired difference to sets of random images over the same sets' and networks'
numbers, bold where its interval leaves out 0: only then does one lead. n: runs, i.e. sets x
networks; the interval is over the sets, or with one set over its networks, and then says nothing of
how another set would do. distill s: wall clock to make one set; train s: of all training together.
"""


def pages(records: Sequence[Record], reported: Sequence[Reported]) -> dict[str, Page]:
    """A page for each protocol: dataset, network, recipe, ZCA."""
    named = names_for_people(records, _base)
    return {name: _page(members, reported) for name, members in named.items()}


def _base(record: Record) -> str:
    parts = ["classification", record.protocol.dataset.name]
    judged = record.protocol.dataset.judged_on
    return "-".join([*parts, *([judged] if judged != "test" else [])])


def _page(records: Sequence[Record], reported: Sequence[Reported]) -> Page:
    named = labels(records)
    order = in_order(named.values())
    records = sorted(records, key=lambda r: (r.cell.making.ipc, order.index(named[r.key])))
    rows = [_row(record, records, reported) for record in records]
    texts = pd.DataFrame([_texts(row) for row in rows]).dropna(axis="columns", how="all")
    table = Table(texts, [record.key for record in records])
    p = records[0].protocol
    zca = "with ZCA" if p.normalisation["zca"] else "without ZCA"
    judged = "" if p.dataset.judged_on == "test" else f" (judged on {p.dataset.judged_on} images)"
    return Page(
        title=f"{p.dataset.name}{judged}, {zca}: {p.network} trained on the small set alone, "
        f"{p.recipe.epochs} epochs",
        tables=[table],
        note=f"{NOTE}{beside.NOTE}" if "reported" in texts else NOTE,
        frame=pd.DataFrame([_numbers(row) for row in rows]),
        summary=[table],
        drawings={},
        commands=made_with(records),
    )


def runs(record: Record) -> list[Run]:
    """The accuracy of every network."""
    return [
        Run(number, 0, network, accuracy)
        for number, own in enumerate(record.results.accuracies)
        for network, accuracy in enumerate(own)
    ]


def _difference(record: Record, records: Sequence[Record]) -> Estimate | None:
    making = record.cell.making
    if making.method == REFERENCE:
        return None
    others = [
        other
        for other in records
        if other.cell.making.method == REFERENCE
        and (other.cell.making.ipc, other.cell.making.seed) == (making.ipc, making.seed)
    ]
    paired = [evidence.paired(runs(record), runs(other)) for other in others]
    return next((estimate for estimate in paired if estimate is not None), None)


def _row(record: Record, records: Sequence[Record], reported: Sequence[Reported]) -> dict[str, Any]:
    protocol, making = record.protocol, record.cell.making
    accuracy = evidence.estimate(runs(record), within=evidence.PERCENT)
    return {
        "ipc": making.ipc,
        "method": labels(records)[record.key],
        "accuracy": accuracy,
        f"minus {REFERENCE}": _difference(record, records),
        **beside.columns(
            reported,
            accuracy,
            experiment="classification",
            dataset=protocol.dataset,
            making=making,
            label=record.label,
            network=protocol.network,
            recipe=protocol.recipe,
            zca=bool(protocol.normalisation["zca"]),
        ),
        "KB": round(sum(s.bytes for s in record.sets) / len(record.sets) / 1024, 1),
        "distill s": round(sum(s.seconds for s in record.sets) / len(record.sets), 1),
        "train s": round(record.cost.seconds["train"], 1),
        "commit": record.commit,
    }


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it."""
    accuracy = row["accuracy"]
    shown = {
        "ipc": row["ipc"],
        "method": row["method"],
        "accuracy": interval(accuracy),
        f"minus {REFERENCE}": difference(row[f"minus {REFERENCE}"]),
        "n": counts(accuracy),
    }
    return shown | {name: value for name, value in row.items() if name not in shown}


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the CSV file: plain numbers."""
    numbers: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("accuracy", f"minus {REFERENCE}"):
            parts = (value.mean, value.low, value.high) if value else (None, None, None)
            rounded = (part if part is None else round(part, 3) for part in parts)
            numbers |= dict(zip((name, f"{name} low", f"{name} high"), rounded, strict=True))
        else:
            numbers[name] = value
    return numbers | {"sets": row["accuracy"].sets, "networks": row["accuracy"].networks}
