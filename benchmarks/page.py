"""What results/ shows of some records: a page of text, a CSV frame, figures."""

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks import evidence
from benchmarks.evidence import Estimate
from benchmarks.record import Record
from distill.runtime import identity

DIGESTS = {"digest", "source", "data", "set"}
"""Fields of protocols that hold a digest: nothing for people."""

MOST_DECIMALS = 4
"""Of a difference that is hardly one."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure: `draw(frame)` makes it. It is told by the data it shows, not by its pixels."""

    draw: Callable[[pd.DataFrame], "Figure"]
    frame: pd.DataFrame
    title: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as people read it.

    Attributes:
        keys: of each row's record, so that a command can mark its own; () where rows are none.
        caption: a line above it, or nothing.
    """

    frame: pd.DataFrame
    keys: Sequence[str] = ()
    caption: str = ""

    def marked(self, keys: Collection[str]) -> pd.DataFrame:
        """The frame with an arrow before the rows of the records with these keys."""
        if not any(own in keys for own in self.keys):
            return self.frame
        marks = ["->" if own in keys else "" for own in self.keys]
        return self.frame.assign(**{" ": marks})[[" ", *self.frame.columns]]


@dataclasses.dataclass(frozen=True)
class Page:
    """All that is shown of some records.

    Attributes:
        title: in one line. tables: as people read them. note: what their columns mean.
        frame: the figures, for the CSV file. summary: the tables for the README.
        drawings: by the end of the file's name. commands: that made the records.
    """

    title: str
    tables: list[Table]
    note: str
    frame: pd.DataFrame
    summary: list[Table]
    drawings: dict[str, Drawing]
    commands: list[str]

    @property
    def text(self) -> str:
        """The whole page in Markdown."""
        commands = "\n".join(["Made with:\n", *(f"    {command}" for command in self.commands), ""])
        return "\n".join([f"# {self.title}\n", in_words(self.tables), self.note, commands])


def in_words(tables: Sequence[Table]) -> str:
    """Tables one below the other in Markdown, each with its caption."""
    return "\n".join(
        (f"{table.caption}\n\n" if table.caption else "") + markdown(table.frame)
        for table in tables
    )


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table, aligned so that it reads well as plain text too."""
    cells = [list(frame.columns), *frame.map(_cell).values.tolist()]
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    widths = [max(2, *(len(row[i]) for row in cells)) for i in range(len(cells[0]))]
    rule = ["-" * (w - 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True)]
    lines = []
    for row in [cells[0], rule, *cells[1:]]:
        padded = [
            cell.rjust(w) if n else cell.ljust(w)
            for cell, w, n in zip(row, widths, numeric, strict=True)
        ]
        lines.append("| " + " | ".join(padded) + " |")
    return "\n".join(lines) + "\n"


def csv(frame: pd.DataFrame) -> str:
    """A frame as CSV, alike on every machine: how sums round beyond nine decimals differs."""
    shown = frame.map(lambda value: round(value, 9) + 0.0 if isinstance(value, float) else value)
    return shown.to_csv(index=False)


def _cell(value: object) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def interval(estimate: Estimate | None, *, decimals: int = 1, signed: bool = False) -> str:
    """`81.9 [80.1, 83.5]`, or with a sign `+2.1 [+0.4, +3.9]`; a dash where there is none."""
    if estimate is None or math.isnan(estimate.mean):
        return "–"
    sign = "+" if signed else ""

    def shown(value: float) -> str:
        return f"{value:{sign}.{decimals}f}".replace("-", "\u2212")

    if math.isnan(estimate.low):
        return shown(estimate.mean)
    return f"{shown(estimate.mean)} [{shown(estimate.low)}, {shown(estimate.high)}]"


def difference(estimate: Estimate | None, *, decimals: int = 1) -> str:
    """A paired difference with its sign; bold where its interval leaves out 0.

    An interval that leaves out 0 by less than it is rounded by has more decimals, up to
    `MOST_DECIMALS`.
    """
    if estimate is None or not evidence.clear(estimate):
        return interval(estimate, decimals=decimals, signed=True)
    nearest = min(abs(estimate.low), abs(estimate.high))
    while round(nearest, decimals) == 0 and decimals < MOST_DECIMALS:
        decimals += 1
    return f"**{interval(estimate, decimals=decimals, signed=True)}**"


def counts(estimate: Estimate, *, with_sets: bool = True) -> str:
    """n: how many runs, and of what: `15 (5 class orders × 3 networks, a set for each order)`.

    Without class orders `9 (3 sets × 3 networks)`. with_sets: whether there are distilled sets.
    """
    by_orders = estimate.orders > 1 or not with_sets
    count, unit = (estimate.orders, "class order") if by_orders else (estimate.sets, "set")
    words = counted(count, unit)
    if estimate.networks > 1 and estimate.runs == count * estimate.networks:
        words += f" × {estimate.networks} networks"
    if by_orders and with_sets:
        own = estimate.sets == estimate.orders
        words += f", {'a set for each order' if own else counted(estimate.sets, 'set')}"
    return f"{estimate.runs} ({words})"


def counted(number: int, what: str) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{number} {what}{'s' * (number != 1)}"


def names_for_people(
    records: Sequence[Record], base: Callable[[Record], str]
) -> dict[str, list[Record]]:
    """Records by the name of their page, `base(record)`; no page mixes protocols.

    Where several protocols have one base name, the one that was run first keeps it, so that a new
    one renames no page (of those of one second the first that is given); the names of the others
    also say in which fields they differ from it.
    """
    grouped: dict[str, dict[str, list[Record]]] = {}
    for record in sorted(records, key=lambda r: r.provenance.date):
        protocols = grouped.setdefault(base(record), {})
        protocols.setdefault(record.protocol_key, []).append(record)
    named: dict[str, list[Record]] = {}
    for name, protocols in grouped.items():
        first, *others = [(flat(dataclasses.asdict(o[0].protocol)), o) for o in protocols.values()]
        named[name] = first[1]
        for fields, own in others:
            ways = _telling([first[0], fields]), _different([first[0], fields])
            words = [[_named(f, fields) for f in w] for w in ways]
            plain, whole = ("-".join([name, *own_words]) for own_words in words)
            named[whole if plain in named else plain] = own
    assert sum(map(len, named.values())) == len(records), "two protocols of one name"
    return dict(sorted(named.items()))


def at_precision(precision: str) -> str:
    """What a title says of it: nothing where all is float32, `, bfloat16` elsewhere."""
    return "" if precision == "float32" else f", {precision}"


FLAGS = {"networks": "--networks"}
"""Fields of a cell that a label spells as the command's flag: methods have one of that name too."""


def labels(records: Sequence[Record]) -> dict[str, str]:
    """What each row is called, by the record's key: no two of one ipc alike.

    It is the record's label, of those made alike the shortest: a preset's settings, spelled out,
    are the preset. Where two share one, what of their cells differs is said too: `dm sets=1`.
    """
    shortest: dict[str, str] = {}
    for record in sorted(records, key=lambda r: (r.label.count("="), r.label)):
        shortest.setdefault(maker_of(record), record.label)
    alike: dict[tuple[int, str], list[Record]] = {}
    for record in records:
        label = shortest[maker_of(record)]
        alike.setdefault((record.cell.making.ipc, label), []).append(record)
    named = {}
    for (_, label), own in alike.items():
        flats = {record.key: flat(dataclasses.asdict(record.cell)) for record in own}
        telling = _telling(list(flats.values()))
        for key, cell in flats.items():
            own_words = {field: field.rpartition(".")[2] for field in telling}
            words = [f"{FLAGS.get(w, w)}={cell.get(field)}" for field, w in own_words.items()]
            named[key] = " ".join([label, *words])
    return named


def maker_of(record: Record) -> str:
    """Of what makes a record's sets, however many."""
    return identity.key("maker", {"making": dataclasses.replace(record.cell.making, sets=1)})


def _different(flats: Sequence[dict[str, Any]]) -> list[str]:
    """The fields in which some flat dictionaries differ."""
    fields = {field for one in flats for field in one}
    return sorted(f for f in fields if len({str(one.get(f)) for one in flats}) > 1)


def _telling(flats: Sequence[dict[str, Any]]) -> list[str]:
    """The fields that tell flat dictionaries apart, digests only where nothing else does."""
    different = _different(flats)
    plain = [f for f in different if f.rpartition(".")[2] not in DIGESTS]
    apart = len({tuple(str(one.get(f)) for f in plain) for one in flats}) == len(flats)
    return plain if apart else different


def _named(field: str, fields: dict[str, Any]) -> str:
    """`epochs-300`; `no-zca` where it is said to be none, `precision-usual` where nothing is."""
    name = field.rpartition(".")[2]
    if field not in fields:
        return f"{name}-usual"
    return f"no-{name}" if fields[field] is None else f"{name}-{_word(fields[field])}"


def _word(value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in text)[:40] or "none"


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"recipe": {"epochs": 1}}` to `{"recipe.epochs": 1}`."""
    own: dict[str, Any] = {}
    for name, part in value.items():
        if isinstance(part, dict):
            own |= flat(part, f"{prefix}{name}.")
        else:
            own[prefix + name] = part
    return own
