"""Accuracy against the epochs of the training, and from how many on the sets rank as in the end."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from benchmarks import evidence
from benchmarks.classification.rows import (
    MINUS,
    accuracy,
    base,
    called,
    minus,
    minus_reference,
    numbers,
    setting,
)
from benchmarks.evidence import Estimate
from benchmarks.made_with import made_with
from benchmarks.order import in_order
from benchmarks.page import (
    Drawing,
    Page,
    Table,
    counts,
    difference,
    interval,
    labels,
    maker_of,
    names_for_people,
)
from benchmarks.record import Record
from distill.training.recipes import Recipe

FEWEST = 3
"""Different numbers of epochs that make a curve."""
NOTE = """\
Test accuracy in percent of fresh networks trained on the small set alone, with its 95 % interval;
the learning rate falls at half of each row's own epochs. minus random: the paired difference to
sets of random images after as many epochs; minus {most} epochs: that of the same sets to themselves
after the most epochs; both over the same sets' and networks' numbers, bold where the interval
leaves out 0. n: runs, i.e. sets x networks; the interval is over the sets, or with one set over its
networks. train s: wall clock of all training together. Ranking: Spearman's rank correlation of the
single sets' accuracies (means over their networks) with those of the same sets after {most} epochs,
and its interval from a bootstrap over the n sets. all: over the sets of all methods of an ipc,
whose distances decide it as much as the epochs; within: the same of each set's accuracy minus the
mean of those made alike. The networks begin alike at any number of epochs, so they share chance in
part.
"""


class RankAgreement(NamedTuple):
    """Rank correlations of the single sets' accuracies with those after the most epochs.

    Attributes:
        all: of all sets of an ipc. within: of what each set is above the mean of those made alike,
            so that differences between methods have no part in it.
    """

    all: Estimate
    within: Estimate


Ranking = dict[tuple[int, int], RankAgreement]
"""By ipc and epochs; none of the most epochs, which are what it is measured by."""


def pages(records: Sequence[Record]) -> dict[str, Page]:
    """A page for each protocol with at least `FEWEST` numbers of epochs, of what was run at two."""
    lines: dict[str, list[Record]] = {}
    for record in records:
        lines.setdefault(_any_epochs(record).key, []).append(record)
    curves: dict[str, list[Record]] = {}
    for own in lines.values():
        if len(_epochs(own)) > 1:
            curves.setdefault(_any_epochs(own[0]).protocol_key, []).extend(own)
    curves = {key: own for key, own in curves.items() if len(_epochs(own)) >= FEWEST}
    alike = [_any_epochs(record) for own in curves.values() for record in own]
    named = names_for_people(alike, lambda record: f"{base(record)}-by-epochs")
    return {name: _page(curves[members[0].protocol_key]) for name, members in named.items()}


def _any_epochs(record: Record) -> Record:
    """The record as if its recipe had the usual epochs."""
    recipe = dataclasses.replace(record.protocol.recipe, epochs=Recipe().epochs)
    protocol = dataclasses.replace(record.protocol, recipe=recipe)
    return dataclasses.replace(record, protocol=protocol)


def _epochs(records: Sequence[Record]) -> list[int]:
    """The different numbers of epochs, rising."""
    return sorted({record.protocol.recipe.epochs for record in records})


def _page(records: Sequence[Record]) -> Page:
    from benchmarks.classification import figures  # a second, and most pages have none

    named, most = labels(records), _epochs(records)[-1]
    order = in_order(named.values())
    records = sorted(
        records,
        key=lambda r: (r.cell.making.ipc, order.index(named[r.key]), r.protocol.recipe.epochs),
    )
    agreement = ranking(records)
    rows = [_row(record, records, named[record.key]) for record in records]
    texts = pd.DataFrame([_texts(row) for row in rows])
    tables = [Table(texts, [record.key for record in records])]
    if agreement:
        caption = "Ranking of the single sets:"
        tables.append(Table(_agreement(agreement, most), caption=caption))
    frame = pd.DataFrame([_numbers(row, agreement) for row in rows])
    protocol = _any_epochs(records[0]).protocol
    title = f"{setting(protocol)}, recipe {called(protocol, protocol.recipe)} by its epochs"
    return Page(
        title=title,
        tables=tables,
        note=NOTE.format(most=most),
        frame=frame,
        summary=tables[-1:],
        drawings={"": Drawing(figures.curves, frame, title)},
        commands=made_with(records),
    )


def ranking(records: Sequence[Record]) -> Ranking:
    """How well each number of epochs ranks the single sets of an ipc as the most epochs do.

    Sets that were not trained on for the most epochs are left out.
    """
    by_set: dict[tuple[int, int], dict[tuple[str, str], float]] = {}
    for record in sorted(records, key=lambda r: r.cell.networks):  # of two, the one of more counts
        making = record.cell.making
        own = by_set.setdefault((making.ipc, record.protocol.recipe.epochs), {})
        maker = maker_of(record)
        for used, accuracies in zip(record.sets, record.results.accuracies, strict=True):
            own[maker, used.digest] = statistics.fmean(accuracies)
    most, agreement = _epochs(records)[-1], {}
    for (ipc, epochs), ours in sorted(by_set.items()):
        truth = by_set.get((ipc, most), {})
        known = sorted(ours.keys() & truth.keys())
        if epochs != most and known:
            pair = [{key: accuracies[key] for key in known} for accuracies in (ours, truth)]
            agreement[ipc, epochs] = RankAgreement(
                evidence.correlation(*(list(part.values()) for part in pair)),
                evidence.correlation(*map(_above_their_mean, pair)),
            )
    return agreement


def _above_their_mean(accuracies: dict[tuple[str, str], float]) -> list[float | None]:
    """Each set's accuracy minus the mean of those made alike; None for one made alone."""
    makers: dict[str, list[float]] = {}
    for (maker, _), value in accuracies.items():
        makers.setdefault(maker, []).append(value)
    return [
        value - statistics.fmean(makers[maker]) if len(makers[maker]) > 1 else None
        for (maker, _), value in accuracies.items()
    ]


def _row(record: Record, records: Sequence[Record], label: str) -> dict[str, Any]:
    epochs, most = record.protocol.recipe.epochs, _epochs(records)[-1]
    alike = [r for r in records if r.protocol.recipe.epochs == epochs]
    ends = (r for r in records if r.protocol.recipe.epochs == most and r.cell == record.cell)
    end = next(ends, None) if epochs != most else None
    return {
        "ipc": record.cell.making.ipc,
        "method": label,
        "epochs": epochs,
        "accuracy": accuracy(record),
        MINUS: minus_reference(record, alike),
        f"minus {most} epochs": minus(record, end) if end else None,
        "train s": round(record.cost.seconds["train"], 1),
    }


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it."""
    shown = {
        name: difference(value) if name.startswith("minus ") else value
        for name, value in row.items()
    }
    return shown | {"accuracy": interval(row["accuracy"]), "n": counts(row["accuracy"])}


def _agreement(agreement: Ranking, most: int) -> pd.DataFrame:
    """The second table: a row an ipc and number of epochs."""
    return pd.DataFrame(
        [
            {
                "ipc": ipc,
                "epochs": epochs,
                f"Spearman with {most} epochs, all": interval(own.all, decimals=2),
                "within": interval(own.within, decimals=2),
                "n": f"{own.all.networks} sets",
            }
            for (ipc, epochs), own in agreement.items()
        ]
    )


def _numbers(row: dict[str, Any], agreement: Ranking) -> dict[str, Any]:
    """A row of the CSV file: plain numbers."""
    own = agreement.get((row["ipc"], row["epochs"]))
    ranked = {"ranking": own and own.all, "ranking within": own and own.within}
    sizes = {"sets": row["accuracy"].sets, "networks": row["accuracy"].networks}
    minus = [name for name in row if name.startswith("minus ")]
    plain = numbers(row | ranked, "accuracy", *minus, *ranked)
    return plain | sizes | {"ranked sets": own.all.networks if own else 0}
