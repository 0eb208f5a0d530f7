"""What results/ shows of networks trained on small sets alone."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks import beside, opened
from benchmarks.classification import ablation, curve, networks
from benchmarks.classification.rows import (
    MINUS,
    MINUS_OURS,
    accuracy,
    base,
    called,
    minus_ours,
    minus_reference,
    numbers,
    setting,
)
from benchmarks.made_with import made_with
from benchmarks.order import in_order
from benchmarks.page import (
    Page,
    Table,
    counted,
    counts,
    difference,
    interval,
    labels,
    names_for_people,
)
from benchmarks.record import Record
from benchmarks.reported import Reported

NOTE = """\
Test accuracy in percent of fresh networks trained on the small set alone, with its 95 % interval;
minus random: the paired difference to sets of random images over the same sets' and networks'
numbers, bold where its interval leaves out 0: only then does one lead. n: runs, i.e. sets x
networks; the interval is over the sets, or with one set over its networks, and then says nothing of
how another set would do. distill s: wall clock to make one set; train s: of all training together.
"""
OURS_NOTE = """\
minus datadam: the paired difference to another row, that of DataDAM told in the same words (dm
paper: datadam paper) or, where there is none, the one called just datadam, whatever their settings;
the first of several; a dash where there is neither, or it lacks some of the sets and networks.
"""


def pages(records: Sequence[Record], reported: Sequence[Reported]) -> dict[str, Page]:
    """A page for each protocol, others by epochs and by networks, and one for each ablation."""
    # Of several networks of one command, a ConvNet keeps the plain name.
    usual = sorted(records, key=lambda r: (not r.protocol.network.startswith("convnet"), r.name))
    named = names_for_people(usual, base)
    own = {name: _page(members, reported) for name, members in named.items()}
    others = curve.pages(records) | networks.pages(records, reported)
    return own | others | ablation.pages(records)


def _page(records: Sequence[Record], reported: Sequence[Reported]) -> Page:
    named = labels(records)
    order = in_order(named.values())
    records = sorted(records, key=lambda r: (r.cell.making.ipc, order.index(named[r.key])))
    rows = [_row(record, records, reported, named[record.key]) for record in records]
    texts = pd.DataFrame([_texts(row) for row in rows]).dropna(axis="columns", how="all")
    texts = texts.drop(columns=[n for n in (MINUS, MINUS_OURS) if not any(row[n] for row in rows)])
    table = Table(texts, [record.key for record in records])
    notes = {MINUS_OURS: OURS_NOTE, "reported": beside.NOTE}
    p = records[0].protocol
    recipe = called(p, p.recipe)
    epochs = "" if "epoch" in recipe else f" ({counted(p.recipe.epochs, 'epoch')})"
    return Page(
        title=f"{setting(p)}, recipe {recipe}{epochs}",
        tables=[table],
        note=NOTE + "".join(note for column, note in notes.items() if column in texts),
        frame=pd.DataFrame([_numbers(row) for row in rows]),
        summary=[table],
        drawings={},
        commands=made_with(records),
    )


def _row(
    record: Record, records: Sequence[Record], reported: Sequence[Reported], label: str
) -> dict[str, Any]:
    protocol, making = record.protocol, record.cell.making
    estimate = accuracy(record)
    return {
        "ipc": making.ipc,
        "method": label,
        "accuracy": estimate,
        MINUS: minus_reference(record, records),
        MINUS_OURS: minus_ours(record, records),
        **beside.columns(
            reported,
            estimate,
            experiment="classification",
            dataset=protocol.dataset,
            making=making,
            label=record.label,
            network=protocol.network,
            recipe=protocol.recipe,
            zca=bool(protocol.normalisation["zca"]),
        ),
        "KiB": round(sum(s.bytes for s in record.sets) / len(record.sets) / 1024, 1),
        "distill s": opened.seconds(record),
        "train s": round(record.cost.seconds["train"], 1),
        "commit": record.commit,
    }


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it."""
    estimate = row["accuracy"]
    shown = {
        "ipc": row["ipc"],
        "method": row["method"],
        "accuracy": interval(estimate),
        **{name: difference(row[name]) for name in (MINUS, MINUS_OURS)},
        "n": counts(estimate),
    }
    return shown | {name: value for name, value in row.items() if name not in shown}


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the CSV file: plain numbers."""
    sizes = {"sets": row["accuracy"].sets, "networks": row["accuracy"].networks}
    return numbers(row, "accuracy", MINUS, MINUS_OURS) | sizes
