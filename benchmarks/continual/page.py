"""What results/ shows of class-incremental learning."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks import beside, evidence, opened
from benchmarks.continual import memory
from benchmarks.continual import rows as rows_of
from benchmarks.continual.figures import curves
from benchmarks.continual.rows import (
    MEASURES,
    base,
    classes,
    final,
    minus_buffer,
    runs,
    sized,
    sizes,
)
from benchmarks.evidence import Estimate
from benchmarks.made_with import made_with
from benchmarks.order import in_order
from benchmarks.page import (
    Drawing,
    Page,
    Table,
    difference,
    interval,
    labels,
    names_for_people,
)
from benchmarks.record import Record
from benchmarks.reported import Reported
from downstream.continual import metrics, reference
from downstream.continual.protocol import step_sizes

REFERENCES = ("random", "datadam")
"""The buffers that the others are compared with."""
MINUS = tuple(f"minus {name}" for name in REFERENCES)
NOTE = """\
Accuracy in percent on the test images of all classes seen, with its 95 % interval. final: after the
last step; it is shown first by images per class, then with all else. minus random, minus datadam:
the paired difference to that buffer over the same sets, class orders and networks, bold where its
interval leaves out 0: only then does one lead. n: runs, i.e. class orders x networks; order o uses
set o mod the number of sets. The interval is over the sets, with one set over the orders, with one
order over its networks; then it says nothing of how another set would do. Epochs are over what
a network is shown: with formation 2 four times the images, and so more steps. incremental: mean
over the steps. forgetting: best minus last accuracy of the earlier steps' classes. transfer: last
minus first (BWT). KiB: the memory's pixels after the last step, at 1 byte a value of a real image,
4 of a learned one. distill s: wall clock to make one set. train s: of the whole run. commit: of the
code; + marks uncommitted changes.
"""
REFERENCE_NOTE = """\
Rows that are no method's. naive: no memory; the networks go on with each step's images alone (lower
bound). joint: all real images of all classes seen so far, at every step (upper bound). Neither has
images per class to choose: they are one run each, shown beside every size. reservoir: a uniform
sample of all images seen (Vitter's algorithm R), with room for as many images as the other buffers
of that size hold in the end, from the first step on.
"""


def pages(records: Sequence[Record], reported: Sequence[Reported]) -> dict[str, Page]:
    """A page for each protocol, and for what was run at several sizes of the memory."""
    named = names_for_people(records, base)
    own = {name: _page(members, reported) for name, members in named.items()}
    return own | memory.pages(records)


def _page(records: Sequence[Record], reported: Sequence[Reported]) -> Page:
    named = labels(records)
    order = in_order(named.values())
    records = sorted(records, key=lambda r: (_place(r), order.index(named[r.key])))
    rows = [_row(record, records, reported, named[record.key]) for record in records]
    frame = pd.DataFrame([_numbers(row) for row in rows]).astype({"ipc": "Int64"})
    texts = pd.DataFrame([_texts(row) for row in rows]).dropna(axis="columns", how="all")
    keys = [record.key for record in records]
    title, summary = rows_of.title(records[0]), _summary(rows, rows_of.n_of_all(records))
    return Page(
        title,
        [*summary, Table(texts, keys)],
        _note(records, known="reported" in texts),
        frame,
        summary,
        {"": Drawing(curves, curve_frame(records), title)},
        made_with(records),
    )


def _note(records: Sequence[Record], *, known: bool) -> str:
    """What the columns mean, and the rows that are no method's."""
    methods = {record.cell.making.method for record in records}
    own = "" if methods.isdisjoint(reference.NAMES) else REFERENCE_NOTE
    own += opened.NOTE if opened.NAME in methods else ""
    return f"{NOTE}{own}{beside.NOTE if known else ''}"


def _place(record: Record) -> float:
    """Where it stands among the sizes: without a memory first, with everything last."""
    return math.inf if record.cell.making.method == "joint" else record.cell.making.ipc


def _row(
    record: Record, records: Sequence[Record], reported: Sequence[Reported], label: str
) -> dict[str, Any]:
    protocol, making = record.protocol, record.cell.making
    estimates = {}
    for name, (measure, within) in MEASURES.items():
        values = runs(record, measure)
        estimates[name] = evidence.estimate(values, within=within) if values else None
    place, by_size = _place(record), _by_size(record, records)
    return {
        "ipc": None if place == math.inf else place,
        "by size": by_size,
        "n": rows_of.n(record),
        "buffer": label,
        **estimates,
        **{name: by_size[place][name] if sized(record) else None for name in MINUS},
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
            classes=classes(record),
        ),
        "KiB": round(record.results.memory_bytes / 1024, 1),
        "distill s": opened.seconds(record),
        "train s": round(record.cost.seconds["train"], 1),
        "commit": record.commit,
    }


def _beside(record: Record, records: Sequence[Record]) -> list[int]:
    """The images a class that it is shown at: its own; of what has none, every size."""
    return [record.cell.making.ipc] if sized(record) else sizes(records) or [0]


def _by_size(record: Record, records: Sequence[Record]) -> dict[int, dict[str, Estimate | None]]:
    """Its final accuracy and differences, by images a class."""
    return {
        ipc: {"final": final(record)}
        | {f"minus {b}": minus_buffer(record, b, records, ipc=ipc) for b in REFERENCES}
        for ipc in _beside(record, records)
    }


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the CSV file: plain numbers."""
    numbers: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("by size", "n"):
            continue
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
        "ipc": "all" if row["ipc"] is None else row["ipc"],
        "buffer": row["buffer"],
        "final": interval(row["final"]),
        **{f"minus {name}": difference(row[f"minus {name}"]) for name in REFERENCES},
        "n": row["n"],
    }
    shown |= {name: row[name] for name in ("reported", "verdict", "others got")}
    shown |= {name: interval(row[name]) for name in ("incremental", "forgetting", "transfer")}
    return shown | {name: row[name] for name in ("KiB", "distill s", "train s", "commit")}


def _summary(rows: Sequence[dict[str, Any]], n: str) -> list[Table]:
    """By images per class: final accuracies, then paired differences, a column a buffer."""
    tables = [_wide(rows, "final", f"Final accuracy (%) [95 % interval], n = {n}:")]
    for name in REFERENCES:
        caption = f"Minus {name}, paired [95 % interval], bold where it leaves out 0:"
        tables.append(_wide(rows, f"minus {name}", caption))
    return [table for table in tables if len(table.frame)]


def _wide(rows: Sequence[dict[str, Any]], column: str, caption: str) -> Table:
    """An estimate of each row by images per class and buffer; empty where there is none."""
    text = interval if column == "final" else difference
    cells = {
        (ipc, row["buffer"]): text(own[column])
        for row in rows
        for ipc, own in row["by size"].items()
        if own[column] is not None
    }
    buffers = in_order(buffer for _, buffer in cells)
    body = [
        {"images per class": ipc or "–"} | {buffer: cells.get((ipc, buffer)) for buffer in buffers}
        for ipc in sorted({ipc for ipc, _ in cells})
    ]
    return Table(pd.DataFrame(body), caption=caption)


def curve_frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row an ipc, buffer and step: ipc, buffer, classes seen, accuracy, low, high.

    What has no images a class to choose stands beside every size.
    """
    rows, named = [], labels(records)
    for record in records:
        steps, seen = record.protocol.steps, 0
        for step, new in enumerate(step_sizes(classes(record), steps)):
            seen += new

            def at_step(matrix: Any, sizes: list[int], step: int = step) -> float:
                return metrics.seen_accuracy(matrix, sizes, step)

            at = evidence.estimate(runs(record, at_step), within=evidence.PERCENT)
            own = (named[record.key], seen, at.mean, at.low, at.high)
            rows += [(ipc, *own) for ipc in _beside(record, records)]
    return pd.DataFrame(rows, columns=["ipc", "buffer", "classes", "accuracy", "low", "high"])
