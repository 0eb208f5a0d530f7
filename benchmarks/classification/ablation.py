"""What each setting of a method is worth: its variants against its plain preset, set by set."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks import evidence
from benchmarks.classification.rows import (
    accuracy,
    base,
    called,
    minus,
    numbers,
    runs,
    setting,
    told_alike,
)
from benchmarks.evidence import Estimate
from benchmarks.made_with import made_with
from benchmarks.page import (
    Drawing,
    Page,
    Table,
    counts,
    difference,
    interval,
    labels,
    names_for_people,
)
from benchmarks.record import Record
from benchmarks.reported import Reported
from distill.runtime import identity

FEWEST = 4
"""Different settings of one method that make an ablation."""
BESIDE = "dm"
"""The method whose nearest row stands beside the variants of any other."""
NOTE = """\
Test accuracy in percent of fresh networks trained on the small set alone, with its 95 % interval.
minus {plain}: the paired difference to the row {plain} over the same sets' and networks' numbers;
the rows are sorted by it. shown: better or worse where its interval leaves out 0, else nothing. At
95 %, one of twenty rows that differ in nothing is shown to. n: runs, i.e. sets x networks; the
interval is over the sets, or with one set over its networks, and then says nothing of how another
set would do. core s: of making one set, on all cores together; before records held it, the wall
clock times the threads of the run.
"""


def pages(
    records: Sequence[Record], reported: Sequence[Reported] = (), *, own: Sequence[str] = ()
) -> dict[str, Page]:
    """A page for each protocol, method and ipc of which `FEWEST` different settings were run.

    Args:
        own: keys of a command's records; then the pages of these alone, however few, the first of a
            page being the one that the others are compared with.
    """
    records = [record for record in records if record.kind == "classification"]
    members = sorted((r for r in records if r.key in own), key=lambda r: own.index(r.key))
    groups: dict[tuple[str, str, int], list[Record]] = {}
    for record in members or records:
        making = record.cell.making
        groups.setdefault((record.protocol_key, making.method, making.ipc), []).append(record)
    several = [
        group for group in groups.values() if own or len({_settings(r) for r in group}) >= FEWEST
    ]
    firsts = {group[0].protocol_key: group[0] for group in several}
    named = names_for_people([record for group in several for record in group], _name)
    return {
        name: _page(group, records, firsts[group[0].protocol_key] if own else _plain(group))
        for name, group in named.items()
    }


def _name(record: Record) -> str:
    """`classification-<dataset>-ablation-<method>-ipc10`, where no other page is called so."""
    making = record.cell.making
    return f"{base(record)}-ablation-{making.method}-ipc{making.ipc}"


def _settings(record: Record) -> str:
    return identity.key("settings", record.cell.making.config)


def _page(variants: Sequence[Record], records: Sequence[Record], plain: Record) -> Page:
    """Of the variants of one method, beside what else `records` hold of their protocol and ipc."""
    members = [*variants, *_beside(plain, records)]
    named, people = labels(members), names(plain, members)
    column = f"minus {people[plain.key]}"
    differences = {record.key: _difference(record, variants, plain) for record in members}
    members.sort(key=lambda record: _place(record, differences[record.key], plain))
    rows = [_row(r, named[r.key], {column: differences[r.key]}) for r in members]
    texts = pd.DataFrame([_texts(row, column) for row in rows]).dropna(axis="columns", how="all")
    tables = [Table(texts, [record.key for record in members])]
    from benchmarks.classification import figures  # a second, and most pages have none

    p, making = plain.protocol, plain.cell.making
    recipe = f"recipe {called(p, p.recipe)}"
    images = f"{making.ipc} image{'s' * (making.ipc > 1)} a class"
    frame = pd.DataFrame([_drawn(r, people[r.key], differences[r.key], plain) for r in members])
    where = f"{setting(p).partition(':')[0]}, {p.network}"
    drawn = f"{where}: settings of {making.method}, {images}, {recipe}"
    return Page(
        title=f"{setting(p)}, {recipe}: settings of {making.method}, {images}",
        tables=tables,
        note=NOTE.format(plain=people[plain.key]),
        frame=pd.DataFrame([_numbers(row, column) for row in rows]),
        summary=tables,
        drawings={"": Drawing(figures.forest, frame, drawn)},
        commands=made_with(members),
    )


def _plain(variants: Sequence[Record]) -> Record:
    """The row of a plain preset; where there is none, the one that the others differ least from."""
    plain = [record for record in variants if "=" not in record.label] or variants

    def place(record: Record) -> tuple:
        apart = sum(_apart(record, other) for other in variants)
        return apart, len(record.label.split()), -len(runs(record)), record.key

    return min(plain, key=place)


def _apart(record: Record, other: Record) -> int:
    """How many settings of two records differ."""
    ours, theirs = record.cell.making.config, other.cell.making.config
    return sum(ours.get(name) != theirs.get(name) for name in {*ours, *theirs})


def _beside(plain: Record, records: Sequence[Record]) -> list[Record]:
    """The row of `BESIDE` with the settings of `plain`, as far as it has them; or none."""
    making = plain.cell.making
    if making.method == BESIDE:
        return []
    others = [
        other
        for other in told_alike(plain, records, BESIDE)
        if (other.protocol_key, other.cell.making.ipc) == (plain.protocol_key, making.ipc)
        and minus(other, plain) is not None
    ]
    return sorted(others, key=lambda other: other.key)[:1]


def _difference(record: Record, variants: Sequence[Record], plain: Record) -> Estimate | None:
    """To a row of the plain settings; None for those themselves, and without common numbers."""
    alike = [other for other in variants if _settings(other) == _settings(plain)]
    if record in alike:
        return None
    estimates = [minus(record, other) for other in (plain, *alike)]
    return next((estimate for estimate in estimates if estimate is not None), None)


def _place(record: Record, own: Estimate | None, plain: Record) -> tuple:
    """Rows by their difference, the plain one at 0; then those without one, by their accuracy."""
    if own is None and record is not plain:
        return 1, -accuracy(record).mean, record.key
    return 0, -own.mean if own else 0.0, record.key


def names(plain: Record, members: Sequence[Record]) -> dict[str, str]:
    """What rows are called in a figure, by their records' keys: `power 1`, `every layer`.

    What all variants share is left out, but for the method's name where nothing else is left.
    """
    named, method = labels(members), plain.cell.making.method
    own = {record.key: named[record.key].split() for record in members}
    common = set.intersection(
        *(set(own[record.key]) for record in members if record.cell.making.method == method)
    )
    phrases = {key: [_phrase(w) for w in words if w not in common] for key, words in own.items()}
    phrases[plain.key] = [method, *phrases[plain.key]]
    return {key: ", ".join(parts) for key, parts in phrases.items()}


def _phrase(word: str) -> str:
    """`power=1` to `power 1`, `every_layer=True` to `every layer`."""
    name, _, value = word.replace("_", " ").partition("=")
    return {"": name, "True": name, "False": f"not {name}"}.get(value, f"{name} {value}")


def _core_seconds(record: Record) -> float | None:
    """Of making one set; None on a GPU."""
    hardware = record.provenance.hardware
    if hardware.device != "cpu":
        return None
    known = (used.core_seconds or used.seconds * hardware.threads for used in record.sets)
    return round(sum(known) / len(record.sets), 1)


def _row(record: Record, label: str, compared: dict[str, Estimate | None]) -> dict[str, Any]:
    (own,) = compared.values()
    return {
        "method": label,
        "accuracy": accuracy(record),
        **compared,
        "shown": own and _shown(own),
        "core s": _core_seconds(record),
        "commit": record.commit,
    }


def _shown(own: Estimate) -> str:
    if not evidence.clear(own):
        return "nothing"
    return "better" if own.mean > 0 else "worse"


def _texts(row: dict[str, Any], column: str) -> dict[str, Any]:
    """A row as people read it."""
    texts = {
        "method": row["method"],
        "accuracy": interval(row["accuracy"]),
        "n": counts(row["accuracy"]),
        column: difference(row[column]),
    }
    return texts | {name: value for name, value in row.items() if name not in texts}


def _numbers(row: dict[str, Any], column: str) -> dict[str, Any]:
    """A row of the CSV file: plain numbers."""
    sizes = {"sets": row["accuracy"].sets, "networks": row["accuracy"].networks}
    return numbers(row, "accuracy", column) | sizes


def _drawn(record: Record, name: str, own: Estimate | None, plain: Record) -> dict[str, Any]:
    """A row of the figure."""
    ends = numbers({"difference": own}, "difference")
    if record is plain:
        ends = {"difference": 0.0, "difference low": 0.0, "difference high": 0.0}
    shown = "plain" if record is plain else own and _shown(own)
    return {"name": name, **ends, "shown": shown, "accuracy": interval(accuracy(record))}
