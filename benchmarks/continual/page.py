"""What results/ shows of class-incremental learning."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from benchmarks import beside, evidence
from benchmarks.continual.figures import curves
from benchmarks.evidence import Estimate, Run
from benchmarks.figures import in_order
from benchmarks.page import (
    Drawing,
    Page,
    Table,
    at_precision,
    counts,
    difference,
    interval,
    labels,
    made_with,
    names_for_people,
)
from benchmarks.record import Record
from benchmarks.reported import Reported
from downstream.continual import metrics

REFERENCES = ("random", "datadam")
"""The buffers that the others are compared with."""
NOTE = """\
Accuracy in percent on the test images of all classes seen, with its 95 % interval. final: after the
last step; it is shown first by images per class, then with all else. minus random, minus datadam:
the paired difference to that buffer over the same sets, class orders and networks, bold where its
interval leaves out 0: only then does one lead. n: runs, i.e. class orders x networks; order o uses
set o mod the number of sets. The interval is over the sets, with one set over the orders, with one
order over its networks; then it says nothing of how another set would do. Epochs are over what
a network is shown: with formation 2 four times the images, and so more steps. incremental: mean
over the steps. forgetting: best minus last accuracy of the earlier steps' classes. transfer: last
minus first (BWT). KB: the memory's pixels. distill s: wall clock to make one set. train s: of the
whole run. commit: of the code; + marks uncommitted changes.
"""


def pages(records: Sequence[Record], reported: Sequence[Reported]) -> dict[str, Page]:
    """A page for each protocol."""
    named = names_for_people(records, _base)
    return {name: _page(members, reported) for name, members in named.items()}


def _base(record: Record) -> str:
    protocol = record.protocol
    parts = ["continual", protocol.dataset.name, f"{protocol.steps}-steps", protocol.strategy]
    judged = protocol.dataset.judged_on
    return "-".join([*parts, *([judged] if judged != "test" else [])])


def _page(records: Sequence[Record], reported: Sequence[Reported]) -> Page:
    named = labels(records)
    order = in_order(named.values())
    records = sorted(records, key=lambda r: (r.cell.making.ipc, order.index(named[r.key])))
    rows = [_row(record, records, reported) for record in records]
    frame = pd.DataFrame([_numbers(row) for row in rows])
    texts = pd.DataFrame([_texts(row) for row in rows]).dropna(axis="columns", how="all")
    keys = [record.key for record in records]
    title = _title(records[0])
    known = "reported" in texts
    return Page(
        title,
        [*_summary(rows), Table(texts, keys)],
        f"{NOTE}{beside.NOTE}" if known else NOTE,
        frame,
        _summary(rows),
        {"": Drawing(curves, curve_frame(records), title)},
        made_with(records),
    )


def _title(record: Record) -> str:
    p = record.protocol
    judged = "" if p.dataset.judged_on == "test" else f" (judged on {p.dataset.judged_on} images)"
    return (
        f"{p.dataset.name}, {p.steps} steps, {p.strategy}{judged}{at_precision(p.precision)}: "
        f"{p.network}, "
        f"{p.recipe.epochs} epochs, batch {p.recipe.batch}, rate {p.recipe.rate:g}"
        f"{', CutMix' if p.recipe.cutmix else ''}"
    )


def runs(record: Record, measure: Callable[[Any, list[int]], float | None]) -> list[Run]:
    """`measure(matrix, sizes)` of every network of every order; without those that have none."""
    found = record.results
    return [
        Run(order % record.cell.making.sets, order, network, value)
        for order, (sizes, matrices) in enumerate(zip(found.sizes, found.matrices, strict=True))
        for network, matrix in enumerate(matrices)
        if (value := measure(matrix, sizes)) is not None
    ]


MEASURES: dict[str, tuple[Callable[[Any, list[int]], float | None], tuple[float, float]]] = {
    "final": (metrics.final_accuracy, evidence.PERCENT),
    "incremental": (metrics.average_incremental_accuracy, evidence.PERCENT),
    "forgetting": (lambda matrix, sizes: metrics.forgetting(matrix), (-100.0, 100.0)),
    "transfer": (lambda matrix, sizes: metrics.backward_transfer(matrix), (-100.0, 100.0)),
}
"""What is measured of a run, and what it can be."""


def _is(record: Record, reference: str) -> bool:
    """Whether it is that buffer as a preset has it; at the method's defaults, whichever preset."""
    making = record.cell.making
    return record.label == reference or (making.method == reference and not making.config)


def minus(record: Record, reference: str, records: Sequence[Record]) -> Estimate | None:
    """The paired difference of the final accuracy to the buffer `reference` of the same size."""
    if record.label == reference:
        return None
    own, making = runs(record, metrics.final_accuracy), record.cell.making
    paired = [
        evidence.paired(own, runs(other, metrics.final_accuracy))
        for other in records
        if other.key != record.key
        and _is(other, reference)
        and (other.cell.making.ipc, other.cell.making.seed) == (making.ipc, making.seed)
    ]
    return next((estimate for estimate in paired if estimate is not None), None)


def _row(record: Record, records: Sequence[Record], reported: Sequence[Reported]) -> dict[str, Any]:
    protocol, making = record.protocol, record.cell.making
    estimates = {}
    for name, (measure, within) in MEASURES.items():
        values = runs(record, measure)
        estimates[name] = evidence.estimate(values, within=within) if values else None
    return {
        "ipc": making.ipc,
        "buffer": labels(records)[record.key],
        **estimates,
        **{f"minus {name}": minus(record, name, records) for name in REFERENCES},
        **beside.columns(
            reported,
            estimates["final"],
            experiment="continual",
            dataset=protocol.dataset,
            making=making,
            label=record.label,
            network=protocol.network,
            recipe=protocol.recipe,
            zca=False,
            steps=protocol.steps,
            strategy=protocol.strategy,
            classes=_classes(record),
        ),
        "KB": round(record.results.memory_bytes / 1024, 1),
        "distill s": round(sum(s.seconds for s in record.sets) / making.sets, 1),
        "train s": round(record.cost.seconds["train"], 1),
        "commit": record.commit,
    }


def _classes(record: Record) -> int:
    return sum(s.images for s in record.sets) // record.cell.making.ipc // record.cell.making.sets


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the CSV file: plain numbers."""
    numbers: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Estimate):
            numbers |= {name: value.mean, f"{name} low": value.low, f"{name} high": value.high}
        elif name in MEASURES or name.startswith("minus "):
            numbers |= {name: None, f"{name} low": None, f"{name} high": None}
        else:
            numbers[name] = value
        if name == "final":
            numbers |= {"deviation": value.deviation, "runs": value.runs}
            numbers |= {"sets": value.sets, "orders": value.orders, "networks": value.networks}
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in numbers.items()}


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it."""
    shown = {
        "ipc": row["ipc"],
        "buffer": row["buffer"],
        "final": interval(row["final"]),
        **{f"minus {name}": difference(row[f"minus {name}"]) for name in REFERENCES},
        "n": counts(row["final"]),
    }
    shown |= {name: row[name] for name in ("reported", "verdict", "others got")}
    shown |= {name: interval(row[name]) for name in ("incremental", "forgetting", "transfer")}
    return shown | {name: row[name] for name in ("KB", "distill s", "train s", "commit")}


def _summary(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """By images per class: final accuracies, then paired differences, a column a buffer."""
    n = " or ".join(sorted({counts(row["final"]) for row in rows}))
    tables = [_wide(rows, "final", f"Final accuracy (%) [95 % interval], n = {n}:")]
    for name in REFERENCES:
        caption = f"Minus {name}, paired [95 % interval], bold where it leaves out 0:"
        tables.append(_wide(rows, f"minus {name}", caption))
    return [table for table in tables if len(table.frame)]


def _wide(rows: Sequence[dict[str, Any]], column: str, caption: str) -> Table:
    """An estimate of each row by images per class and buffer; empty where there is none."""
    text = interval if column == "final" else difference
    known = [row for row in rows if row[column] is not None]
    buffers = in_order(row["buffer"] for row in known)
    cells = {(row["ipc"], row["buffer"]): text(row[column]) for row in known}
    body = [
        {"images per class": ipc} | {buffer: cells.get((ipc, buffer)) for buffer in buffers}
        for ipc in sorted({row["ipc"] for row in known})
    ]
    return Table(pd.DataFrame(body), caption=caption)


def curve_frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row an ipc, buffer and step: ipc, buffer, classes seen, accuracy, low, high."""
    rows, named = [], labels(records)
    for record in records:
        steps, ipc = record.protocol.steps, record.cell.making.ipc
        base, extra = divmod(_classes(record), steps)
        seen = 0
        for step in range(steps):
            seen += base + (step < extra)

            def at_step(matrix: Any, sizes: list[int], step: int = step) -> float:
                return metrics.seen_accuracy(matrix, sizes, step)

            at = evidence.estimate(runs(record, at_step), within=evidence.PERCENT)
            rows.append((ipc, named[record.key], seen, at.mean, at.low, at.high))
    return pd.DataFrame(rows, columns=["ipc", "buffer", "classes", "accuracy", "low", "high"])
