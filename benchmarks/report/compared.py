"""Every paired comparison of the records: where does a method lead, and where is nothing shown?"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from benchmarks import evidence
from benchmarks.classification import rows as classification
from benchmarks.continual import rows as continual
from benchmarks.page import Page, at_precision, counted
from benchmarks.record import Record
from distill import learn
from distill.runtime import identity, registry

KINDS = {
    "classification": "trained on the set alone",
    "continual": "continual learning",
    "nas": "architecture search",
}
"""Kinds of experiment, in words."""
OURS = classification.OURS
REFERENCES = {"random": None, "herding": None, "dm": OURS}
"""What learned methods are compared with; DM is what DataDAM is without its attention."""
AHEAD, NOTHING, BEHIND = SIDES = ("ahead", "nothing shown", "behind")
"""What a difference can show."""
OTHERS = "-(by-network|by-epochs|by-memory|ablation)"
"""In the names of pages that gather rows of other pages."""
MINUS = "minus random"
"""How the columns end that say what a proxy's ranking is worth."""


class Difference(NamedTuple):
    """A mean difference and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A method against another on the same sets, class orders and networks.

    Attributes:
        record: of the method. page: the name of the page with its row. setting: in words.
        ipc: images a class; None of a proxy that has none. variant: whether `against` is the same
            method as its preset has it. decimals: with which it is shown.
    """

    record: Record
    page: str
    setting: str
    ipc: int | None
    method: str
    against: str
    difference: Any
    variant: bool = False
    decimals: int = 1

    @property
    def side(self) -> str:
        """One of `SIDES`."""
        if not evidence.clear(self.difference):
            return NOTHING
        return AHEAD if self.difference.mean > 0 else BEHIND

    @property
    def single(self) -> bool:
        """Whether one set alone is compared: how another would do, the interval leaves out."""
        return self.record.kind != "nas" and "sets" not in self.difference.levels

    @property
    def name(self) -> str:
        """Of the method, without its settings."""
        cell = self.record.cell
        return cell.proxy if self.record.kind == "nas" else cell.making.method


def comparisons(records: Sequence[Record], pages: Mapping[str, Page]) -> list[Comparison]:
    """All of them, on test images.

    Learned methods are compared with `REFERENCES`, of which one that learns too has to have been
    told the same; a method with other settings than its preset's with the method as it is in the
    preset, and the proxies of a search with random images. Of one comparison after several numbers
    of epochs that of the most counts.
    """
    shown, most = where(pages), {}
    for record, other in sorted(_pairs(records), key=lambda pair: _epochs(pair[0])):
        difference = _difference(record, other)
        if difference is not None and record.key in shown:
            variant = record.cell.making.method == other.cell.making.method
            words, ipc = setting(record), record.cell.making.ipc
            against = other.label if variant else other.cell.making.method
            own = (record, shown[record.key], words, ipc, record.label, against, difference)
            most[any_epochs(record), any_epochs(other)] = Comparison(*own, variant)
    known = sorted(most.values(), key=lambda c: (c.page, c.ipc, c.record.key))
    return [*known, *_ranked(records, pages)]


def where(pages: Mapping[str, Page]) -> dict[str, str]:
    """The page that has a record's row, by the record's key: of several its protocol's own."""
    last = sorted(pages, key=lambda name: re.search(OTHERS, name) is None)
    return {key: name for name in last for table in pages[name].tables for key in table.keys}


def setting(record: Record) -> str:
    """What a record's protocol is, in a few words."""
    p = record.protocol
    if record.kind == "nas":
        return f"{p.networks} networks of the {p.space} space"
    words = f"{p.network.removesuffix('-instance-relu-avg')}, {counted(p.recipe.epochs, 'epoch')}"
    words += at_precision(p.precision)
    if record.kind == "continual":
        return f"{p.steps} steps, {p.strategy}, {words}"
    return f"{words}, ZCA" if p.normalisation.get("zca") else words


def any_epochs(record: Record) -> str:
    """Equal for records that differ in the epochs of the judging networks alone."""
    protocol = dataclasses.asdict(record.protocol)
    protocol["recipe"] = protocol["recipe"] | {"epochs": 0}
    return identity.key("any epochs", {"protocol": protocol, "cell": record.cell})


def standing(records: Sequence[Record]) -> dict[str, list[Record]]:
    """By method those that stand for it: with a preset's settings; else the nearest to that."""
    by_method: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r.label.count("="), len(r.label), r.key)):
        own = by_method.setdefault(record.cell.making.method, [])
        if not own or "=" not in record.label:
            own.append(record)
    return by_method


def alike(records: Sequence[Record]) -> list[list[Record]]:
    """Records of methods that are judged alike, on test images: of one protocol, size and seed."""
    known, groups = registry.names("distill.methods"), {}
    for record in records:
        if record.kind in ("classification", "continual"):
            making = record.cell.making
            if making.method in known and record.protocol.dataset.judged_on == "test":
                groups.setdefault((record.protocol_key, making.ipc, making.seed), []).append(record)
    return list(groups.values())


def _pairs(records: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    """Records and what each is compared with."""
    for members in alike(records):
        stand = standing(members)
        for record in members:
            method = record.cell.making.method
            if record not in stand[method]:
                yield record, stand[method][0]
            elif _learns(method):
                for name, only in REFERENCES.items():
                    if name in stand and only in (None, method):
                        others = stand[name]
                        if _learns(name):
                            others = classification.told_alike(record, members, name)
                        yield from ((record, other) for other in others[:1])


def _learns(method: str) -> bool:
    return issubclass(registry.load("distill.methods", method).Config, learn.Config)


def _epochs(record: Record) -> int:
    return record.protocol.recipe.epochs


def _difference(record: Record, other: Record) -> evidence.Estimate | None:
    rows = continual if record.kind == "continual" else classification
    return rows.minus(record, other)


def _ranked(records: Sequence[Record], pages: Mapping[str, Page]) -> Iterator[Comparison]:
    """The proxies of a search against random images, as their pages have them."""
    by_key = {record.key: record for record in records if record.kind == "nas"}
    for name, page in pages.items():
        keys = [key for table in page.tables[:1] for key in table.keys if key in by_key]
        columns = [c for c in page.frame if c.endswith(MINUS) and f"{c} low" in page.frame]
        for key, row in zip(keys, page.frame.to_dict("records") if keys else (), strict=True):
            record = by_key[key]
            making = record.cell.making
            for column in columns:
                difference = Difference(*(row[column + end] for end in ("", " low", " high")))
                if record.cell.proxy == "whole" or pd.isna(difference.mean):
                    continue
                words = f"{setting(record)}: {column.removesuffix(f', {MINUS}')}"
                own = (record, name, words, making and making.ipc, record.label, "random")
                yield Comparison(*own, difference, decimals=2)
