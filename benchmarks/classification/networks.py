"""One set judged by several networks: does it serve others than the one it was distilled with?"""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from statistics import mean
from typing import Any

import pandas as pd

from benchmarks import beside, evidence
from benchmarks.classification.rows import (
    OURS,
    REFERENCE,
    accuracy,
    base,
    called,
    minus,
    numbers,
    runs,
    setting,
)
from benchmarks.evidence import Estimate, Run
from benchmarks.made_with import made_with
from benchmarks.order import in_order
from benchmarks.page import (
    Drawing,
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
from distill.runtime import identity, registry

Row = dict[str, Record]
"""Records of one cell, by the network of their protocols."""
FEWEST = 3
"""Networks that make a page in the results."""
REFERENCES = (REFERENCE, OURS)
"""The rows that the others are compared with."""
LONG = 16
"""Characters of a network's name that stand at the head of a column, at most."""
MEAN = "all"
"""The column of the mean over the networks."""
NOTE = """\
Does a set serve networks that it was not made in? Each set is made once, and fresh networks of
every kind are trained on these very images alone: test accuracy in percent, with its 95 % interval;
a column a network. all: the mean over these networks, its interval over the sets. minus random,
minus datadam: the paired difference to that row over the same sets' and networks' numbers, bold
where its interval leaves out 0: only then does one lead. n: runs of one network, i.e. sets x
networks; the interval is over the sets, or with one set over its networks, and then says nothing of
how another set would do.{networks}{made}
"""
PUBLISHED = """\
Published: the authors' figure at so many images a class on that network, where what is published of
its protocol does not contradict this one.
"""


def pages(
    records: Sequence[Record],
    reported: Sequence[Reported],
    *,
    own: Collection[str] = (),
) -> dict[str, Page]:
    """A page for each protocol but for its network, of the rows judged by more than one.

    Args:
        own: keys of a command's records; then the pages that show any of these, however few
            networks they have.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == "classification":
            groups.setdefault(_any_network(record).protocol_key, []).append(record)
    chosen = {}
    for key, members in groups.items():
        rows = [row for row in _rows(members) if len(row) > 1]
        mine = any(record.key in own for row in rows for record in row.values())
        if mine or (not own and len(_columns(rows)) >= FEWEST):
            chosen[key] = rows
    alike = [_any_network(r) for rows in chosen.values() for row in rows for r in row.values()]
    named = names_for_people(alike, lambda record: f"{base(record)}-by-network")
    return {
        name: _page(chosen[members[0].protocol_key], reported) for name, members in named.items()
    }


def _any_network(record: Record) -> Record:
    """The record as if its protocol named no network."""
    protocol = dataclasses.replace(record.protocol, network="")
    return dataclasses.replace(record, protocol=protocol)


def _rows(records: Sequence[Record]) -> list[Row]:
    """The records of one cell in one row each, by ipc and then in the order of methods."""
    rows: dict[str, Row] = {}
    for record in records:
        key = identity.key("cell", {"cell": record.cell})
        rows.setdefault(key, {})[record.protocol.network] = record
    named = labels([next(iter(row.values())) for row in rows.values()])
    order = in_order(named.values())

    def place(row: Row) -> tuple[int, int]:
        first = next(iter(row.values()))
        return first.cell.making.ipc, order.index(named[first.key])

    return sorted(rows.values(), key=place)


def _columns(rows: Sequence[Row]) -> list[str]:
    """The networks of some rows, the ConvNets first."""
    names = {network for row in rows for network in row}
    return sorted(names, key=lambda name: (not name.startswith("convnet"), name))


def _short(networks: Sequence[str]) -> dict[str, str]:
    """What columns are called: of a long name the first word, where that tells it apart."""
    firsts = [name.split("-")[0] for name in networks]
    return {
        name: first if len(name) > LONG and firsts.count(first) == 1 else name
        for name, first in zip(networks, firsts, strict=True)
    }


def _page(rows: Sequence[Row], reported: Sequence[Reported]) -> Page:
    networks = _columns(rows)
    short = _short(networks)
    firsts = [next(iter(row.values())) for row in rows]
    named = labels(firsts)
    heads = [{"ipc": r.cell.making.ipc, "method": named[r.key]} for r in firsts]
    made = [_accuracies(row, networks) for row in rows]
    n = [{"n": counts(accuracy(record))} for record in firsts]
    tables = [Table(_texts(heads, made, short, interval, n), caption="Accuracy (%):")]
    compared = {name: [_minus(row, rows, networks, name) for row in rows] for name in REFERENCES}
    for name, differences in compared.items():
        frame = _texts(heads, differences, short, difference)
        if len(frame):
            tables.append(Table(frame, caption=f"Minus {name}, paired [95 % interval]:"))
    summary = list(tables)
    published = [_published(row, networks, reported) for row in rows]
    frame = _texts(heads, published, short, str)
    if len(frame):
        tables.append(Table(frame, caption="Published:"))
    p = firsts[0].protocol
    recipe = called(p, p.recipe)
    epochs = "" if "epoch" in recipe else f" ({counted(p.recipe.epochs, 'epoch')})"
    title = f"{setting(p).partition(':')[0]}: networks trained on the same small sets alone"
    title += f", recipe {recipe}{epochs}"
    from benchmarks.classification import figures  # a second, and most pages have none

    rows_of_csv = _numbers(heads, made, compared, published)
    drawn = rows_of_csv.assign(short=rows_of_csv["network"].map({**short, MEAN: MEAN}))
    return Page(
        title=title,
        tables=tables,
        note=NOTE.format(made=_made_in(firsts, named), networks=_spelled(short))
        + (PUBLISHED if len(frame) else ""),
        frame=rows_of_csv,
        summary=summary,
        drawings={"": Drawing(figures.networks, drawn, title)},
        commands=made_with([record for row in rows for record in row.values()]),
    )


def _spelled(short: dict[str, str]) -> str:
    """Which networks the columns are, where their names say more."""
    longer = [f"{word}: {name}" for name, word in short.items() if name != word]
    return "\n" + "; ".join(longer) + "." if longer else ""


def _made_in(records: Sequence[Record], named: dict[str, str]) -> str:
    """The networks in which images were learned or chosen, each with the methods that did."""
    methods: dict[str, list[str]] = {}
    for record in records:
        making = record.cell.making
        if making.method in registry.names("distill.methods"):
            config = registry.load("distill.methods", making.method).Config
            network = making.config.get("network", getattr(config, "network", None))
            methods.setdefault(network, []).append(named[record.key])
    methods.pop(None, None)
    parts = [f"{name} for {', '.join(dict.fromkeys(own))}" for name, own in methods.items()]
    return f"\nImages were learned or chosen in {'; '.join(parts)}." if parts else ""


def _pooled(row: Row, networks: Sequence[str]) -> list[Run] | None:
    """A run for each number of a set and of a network on it: the mean over the kinds of networks.

    These were chosen, so that no interval is over them.
    """
    if any(network not in row for network in networks):
        return None
    alike = zip(*(sorted(runs(row[network])) for network in networks), strict=True)
    return [own[0]._replace(value=mean(run.value for run in own)) for own in alike]


def _accuracies(row: Row, networks: Sequence[str]) -> dict[str, Estimate | None]:
    """By network, and of all together."""
    pooled = _pooled(row, networks)
    own = {name: accuracy(row[name]) if name in row else None for name in networks}
    return own | {MEAN: pooled and evidence.estimate(pooled, within=evidence.PERCENT)}


def _minus(
    row: Row, rows: Sequence[Row], networks: Sequence[str], reference: str
) -> dict[str, Estimate | None]:
    """The paired differences to the row of that label with as many images and the same seed."""
    making = next(iter(row.values())).cell.making
    wanted = (reference, making.ipc, making.seed)
    others = [o for o in rows if o is not row and wanted == _asked(next(iter(o.values())))]
    if not others or next(iter(row.values())).label == reference:
        return {}
    (other, *_), own = others, {}
    for name in networks:
        both = name in row and name in other
        own[name] = minus(row[name], other[name]) if both else None
    pooled = [_pooled(one, networks) for one in (row, other)]
    return own | {MEAN: evidence.paired(*pooled) if all(pooled) else None}


def _asked(record: Record) -> tuple[str, int, int]:
    making = record.cell.making
    return record.label, making.ipc, making.seed


def _published(row: Row, networks: Sequence[str], reported: Sequence[Reported]) -> dict[str, Any]:
    """The authors' figures, by network."""
    own = {}
    for name in networks:
        if name in row:
            record = row[name]
            protocol = record.protocol
            known = beside.columns(
                reported,
                accuracy(record),
                experiment="classification",
                dataset=protocol.dataset,
                making=record.cell.making,
                label=record.label,
                network=name,
                recipe=protocol.recipe,
                zca=bool(protocol.normalisation["zca"]),
            )
            own[name] = known["reported"]
    return {name: value for name, value in own.items() if value is not None}


def _texts(
    heads: Sequence[dict[str, Any]],
    values: Sequence[dict[str, Any]],
    short: dict[str, str],
    text: Callable[[Any], str],
    ends: Sequence[dict[str, Any]] = (),
) -> pd.DataFrame:
    """A table as people read it, of the rows that have any value."""
    names = {**short, MEAN: MEAN}
    ends = ends or [{}] * len(heads)
    body = [
        head | {names[name]: text(own[name]) for name in own if own[name] is not None} | end
        for head, own, end in zip(heads, values, ends, strict=True)
        if any(value is not None for value in own.values())
    ]
    frame = pd.DataFrame(body)
    order = [*(heads[0] if body else ()), *names.values(), *ends[0]]
    return frame[[name for name in order if name in frame]]


def _numbers(
    heads: Sequence[dict[str, Any]],
    made: Sequence[dict[str, Estimate | None]],
    compared: dict[str, list[dict[str, Estimate | None]]],
    published: Sequence[dict[str, Any]],
) -> pd.DataFrame:
    """A row a method and network, in plain numbers."""
    rows = []
    for place, (head, own) in enumerate(zip(heads, made, strict=True)):
        for network, estimate in own.items():
            if estimate is None:
                continue
            differences = {
                f"minus {name}": known[place].get(network) for name, known in compared.items()
            }
            row = {**head, "network": network, "accuracy": estimate, **differences}
            sizes = {"sets": estimate.sets, "networks": estimate.networks}
            reported = {"reported": published[place].get(network)}
            rows.append(numbers(row, "accuracy", *differences) | sizes | reported)
    return pd.DataFrame(rows)
