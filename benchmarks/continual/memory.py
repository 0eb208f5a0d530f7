"""Accuracy by the size of the memory, in images and in bytes: from where on does it not pay?"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks import evidence
from benchmarks.continual.figures import by_memory
from benchmarks.continual.rows import base, final, is_plain, minus, minus_buffer, n, sized, title
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

FEWEST = 3
"""Sizes of one buffer that make a curve."""
REFERENCE = "random"
"""The buffer that the others are compared with."""
EQUAL = {f"minus {REFERENCE}": "images", f"minus {REFERENCE}, equal bytes": "bytes"}
"""The differences, and what the two memories have as many of."""
SIDES = ("ahead", "nothing shown", "behind")
"""What a difference can show."""
NOTE = """\
Final accuracy in percent on the test images of all classes by the size of the memory, with its 95 %
interval. KiB: the memory's pixels after the last step, at 1 byte a value of a real image, 4 of a
learned one. minus random: the paired difference to random real images over the same sets, class
orders and networks; of as many images a class, and of as many bytes (four real images take those of
a learned one), where such a memory of random images was run; bold where its interval leaves out 0.
ahead and behind: the images a class at which it does; nothing shown: where it does not. n: how many
runs, and of what. In the figure, naive and joint, which have no size, are lines across, a buffer of
one size is a large hollow mark; bands and bars are the intervals.
"""
RESERVOIR_NOTE = """\
reservoir: real images as random's, and as many in the end, but a uniform sample of all images seen
so far: it has all its room from the first step on, and no class has a share of its own. Its
difference to random is what that changes.
"""


def pages(records: Sequence[Record]) -> dict[str, Page]:
    """A page for each protocol in which a buffer was run at `FEWEST` sizes."""
    named = names_for_people(records, lambda record: f"{base(record)}-by-memory")
    return {name: _page(own) for name, own in named.items() if _most_sizes(own) >= FEWEST}


def _most_sizes(records: Sequence[Record]) -> int:
    """Of the buffer that was run at most of them."""
    by_label: dict[str, set[int]] = {}
    for record in records:
        if sized(record):
            by_label.setdefault(record.label, set()).add(record.cell.making.ipc)
    return max(map(len, by_label.values()), default=0)


def _page(records: Sequence[Record]) -> Page:
    named = labels(records)
    order = in_order(named.values())
    records = sorted(records, key=lambda r: (order.index(named[r.key]), r.cell.making.ipc))
    rows = [_row(record, records, named[record.key]) for record in records]
    shown = [row for row in rows if row["ipc"]]
    keys = [record.key for record in records if sized(record)]
    frame = pd.DataFrame([_numbers(row) for row in rows]).astype({"ipc": "Int64"})
    summary = [_where(shown)]
    caption = title(records[0]).replace(": ", ", by the size of the memory: ", 1)
    return Page(
        title=caption,
        tables=[*summary, Table(pd.DataFrame([_texts(row) for row in shown]), keys)],
        note=NOTE + RESERVOIR_NOTE * any(r.cell.making.method == "reservoir" for r in records),
        frame=frame,
        summary=summary,
        drawings={"": Drawing(by_memory, frame, caption)},
        commands=made_with(records),
    )


def _row(record: Record, records: Sequence[Record], label: str) -> dict[str, Any]:
    ipc = record.cell.making.ipc if sized(record) else None
    same, equal = EQUAL
    return {
        "ipc": ipc,
        "KiB": round(record.results.memory_bytes / 1024, 2),
        "buffer": label,
        "final": final(record),
        same: minus_buffer(record, REFERENCE, records, ipc=ipc) if ipc else None,
        equal: _minus_equal_bytes(record, records) if ipc else None,
        "n": n(record),
    }


def _minus_equal_bytes(record: Record, records: Sequence[Record]) -> Estimate | None:
    """The paired difference to random images that take as many bytes."""
    if record.label == REFERENCE:
        return None
    others = [r for r in records if sized(r) and is_plain(r, REFERENCE) and r.key != record.key]
    size = record.results.memory_bytes
    paired = [minus(record, r) for r in others if r.results.memory_bytes == size]
    return next((estimate for estimate in paired if estimate is not None), None)


def _where(rows: Sequence[dict[str, Any]]) -> Table:
    """A row a buffer: the images a class at which it is ahead of random ones, and at which not."""
    body = []
    for buffer in in_order(row["buffer"] for row in rows):
        for column, what in EQUAL.items():
            own = [row for row in rows if row["buffer"] == buffer and row[column] is not None]
            if not own:
                continue
            sides = {row["ipc"]: _side(row[column]) for row in own}
            at = {
                side: ", ".join(str(ipc) for ipc, its in sides.items() if its == side) or None
                for side in SIDES
            }
            body.append({"buffer": buffer, "at equal": what, **at})
    caption = f"Against {REFERENCE} images, by images per class:"
    return Table(pd.DataFrame(body, columns=["buffer", "at equal", *SIDES]), caption=caption)


def _side(estimate: Estimate) -> str:
    """What a difference shows."""
    if not evidence.clear(estimate):
        return "nothing shown"
    return "ahead" if estimate.mean > 0 else "behind"


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it."""
    return row | {"final": interval(row["final"])} | {c: difference(row[c]) for c in EQUAL}


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the CSV file: plain numbers."""
    numbers: dict[str, Any] = {name: row[name] for name in ("buffer", "ipc", "KiB")}
    names = dict(zip(("final", *EQUAL), ("accuracy", "images", "bytes"), strict=True))
    for column, name in names.items():
        own = row[column]
        parts = (own.mean, own.low, own.high) if own else (None, None, None)
        ends = (name, f"{name} low", f"{name} high")
        rounded = (part if part is None else round(part, 3) for part in parts)
        numbers |= dict(zip(ends, rounded, strict=True))
    return numbers | {"sets": row["final"].sets, "orders": row["final"].orders}
