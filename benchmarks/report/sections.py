"""The page of all results, from the records, their pages and what is published."""

import collections
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from benchmarks.order import in_order
from benchmarks.page import Page, Table, counted, difference
from benchmarks.record import Record
from benchmarks.report import against, cells, compared, effort
from benchmarks.report.compared import AHEAD, BEHIND, KINDS, MINUS, NOTHING, OURS, Comparison
from benchmarks.report.document import Block, Document, Figure, Section, link, whole_numbers
from benchmarks.reported import Reported

TOPICS = (
    ("Other networks as judges", "networks", r".*-by-network.*"),
    ("Continual learning", "continual", r"continual-.*"),
    ("Architecture search", "search", r"nas-.*"),
    ("What each setting is worth", "settings", r".*-ablation-.*"),
    ("Accuracy against the epochs of the judge", "epochs", r".*-by-epochs.*"),
    ("Where random networks look", "attention", r"attention-.*"),
    ("What it costs", "cost", r"cost-.*"),
)
"""Headings, and the names of the pages below each; the first that fits takes a page."""
SHOWN = 2
"""Tables of a page's summary that stand here; all are on the page itself."""
LINKED = r"cost-(scaling|step|training)-.*"
"""Pages that are linked to alone: their tables are long, and for who asks just that."""


def document(
    records: Sequence[Record],
    pages: Mapping[str, Page],
    published: Sequence[Reported],
    galleries: Sequence[Figure] = (),
) -> Document:
    """The page.

    Args:
        pages: of `contents.pages`, by name. published: of `reported.read`.
        galleries: of `python -m benchmarks.gallery`, as they were brought.
    """
    known, where = compared.comparisons(records, pages), compared.where(pages)
    figures = [row for row in published if row.by == "authors"]
    offered = cells.offers(records, pages)
    beside = {row: own for row in figures if (own := cells.ours(row, offered)) is not None}
    reported = against.blocks(beside, published, speeds=effort.speeds(records), where=where)
    sections = [
        Section("What was found", "findings", _found(known, beside, figures)),
        Section("How to read this page", "reading", _reading(records)),
        Section("Methods, datasets, images a class", "methods", _methods(records, pages, known)),
        *_topics(pages),
        *_pictures(galleries),
        Section("Negative results", "negative", _negative(known)),
        Section("Published figures", "published", reported),
    ]
    whole = [_whole(name, page) for name, page in pages.items()]
    return Document("Results", sections, whole)


def _reading(records: Sequence[Record]) -> list[Block]:
    kinds = collections.Counter(record.kind for record in records)
    dates = sorted(record.provenance.date[:10] for record in records) or ["–"]
    parts = ", ".join(f"{number} of {kind}" for kind, number in kinds.items())
    return [
        "Accuracies are in percent. In brackets: the 95 % interval. Methods are compared in pairs, "
        "over the same sets, class orders and networks; a lead is shown, and **bold**, only where "
        "the interval of the difference leaves out 0, as one in twenty comparisons of equals does. "
        "With one set the interval is over class orders or networks alone: another set may do "
        "otherwise, so comparisons of single sets are shown and not counted. "
        "ipc: images a class.",
        f"All of it comes from {len(records)} records ({parts}) made from {dates[0]} to "
        f"{dates[-1]}, and from what is published. `python -m benchmarks.tables` writes this page "
        "anew; `python -m benchmarks.report` makes one HTML page of it and of all whole pages, "
        "with tables that can be sorted and searched.",
    ]


# ------------------------------------------------------------------ what was found, what was not


def _found(
    known: Sequence[Comparison], beside: Mapping[Reported, cells.Ours], figures: Sequence[Reported]
) -> list[Block]:
    several = [own for own in known if not own.single]
    main = [own for own in several if own.name == OURS and not own.variant]
    order = [*compared.REFERENCES]
    points = [_lead(own) for own in _grouped(main, lambda c: (c.decimals, order.index(c.against)))]
    variants = [own for own in several if own.variant]
    if variants:
        best = max(variants, key=lambda c: (c.side == AHEAD, c.difference.low))
        gain = f" The surest gain is {_said(best)}." if best.side == AHEAD else ""
        points.append(f"Other settings than the preset's: {_sides(variants)}.{gain}")
    if single := len(known) - len(several):
        points.append(
            f"Not counted: {counted(single, 'comparison')} of single sets, which say nothing of "
            "how another set would do; their tables have them."
        )
    spoken = [own.verdict for own in beside.values() if own.verdict]
    verdicts = collections.Counter(re.match(r"\w+", verdict)[0] for verdict in spoken)
    words = ", ".join(f"{number} {name}" for name, number in sorted(verdicts.items()))
    points.append(
        f"Beside {len(beside)} of {len(figures)} published figures stands a record; "
        f"{f'{len(spoken)} have a verdict ({words})' if spoken else 'none has a verdict yet'}: "
        "[which, why, and what the others take](#published)."
    )
    tally = _tally(main).drop(columns="method", errors="ignore")
    return [points, Table(tally, caption="DataDAM against others, by experiment:")]


def _lead(own: Sequence[Comparison]) -> str:
    """One sentence of comparisons with one reference."""
    what = "as a proxy of a search" if own[0].record.kind == "nas" else "in accuracy (%)"
    low = min(own, key=lambda c: c.difference.mean)
    high = max(own, key=lambda c: c.difference.mean)
    ends = f"from {_said(low)} to {_said(high)}" if low is not high else _said(low)
    return f"DataDAM minus {own[0].against} {what}: {_sides(own)}; {ends}."


def _said(own: Comparison) -> str:
    """A comparison in words, with a link."""
    where = [own.record.protocol.dataset.name, *([f"ipc {own.ipc}"] if own.ipc else [])]
    name = f"`{own.method}` " if own.variant else ""
    value = difference(own.difference, decimals=own.decimals)
    return f"{name}{value} ({link(own.page, ', '.join([*where, own.setting]))})"


def _sides(own: Sequence[Comparison]) -> str:
    """`ahead in 3 of 6, behind in 1, nothing shown in 2`."""
    number = collections.Counter(c.side for c in own)
    return f"ahead in {number[AHEAD]} of {len(own)}, " + ", ".join(
        f"{side} in {number[side]}" for side in (BEHIND, NOTHING)
    )


def _tally(known: Sequence[Comparison]) -> pd.DataFrame:
    """A row a method, experiment, dataset and reference: how often each side was shown."""

    def place(own: Comparison) -> tuple:
        return own.name, KINDS[own.record.kind], own.record.protocol.dataset.name, own.against

    rows = []
    for own in _grouped(known, place):
        number = collections.Counter(c.side for c in own)
        ends = sorted((c.difference.mean, c.decimals) for c in own)
        span = [f"{mean:+.{decimals}f}".replace("-", "\u2212") for mean, decimals in ends]
        named = zip(("method", "experiment", "dataset", "against"), place(own[0]), strict=True)
        sides = {side: number[side] for side in compared.SIDES}
        rows.append({**dict(named), **sides, "lowest": span[0], "highest": span[-1]})
    return pd.DataFrame(rows)


def _grouped(
    known: Iterable[Comparison], place: Callable[[Comparison], tuple]
) -> list[list[Comparison]]:
    groups: dict[tuple, list[Comparison]] = {}
    for own in known:
        groups.setdefault(place(own), []).append(own)
    return [groups[key] for key in sorted(groups)]


def _negative(known: Sequence[Comparison]) -> list[Block]:
    """What is behind, in a line each; what shows nothing is a long part."""
    behind, nothing = ([c for c in known if c.side == side] for side in (BEHIND, NOTHING))
    tables = [
        Table(_lines(own), caption=f"{words} ({len(own)}):")
        for own, words in ((behind, "Shown to be behind"), (nothing, "Nothing shown"))
    ]

    def place(own: Comparison) -> tuple:
        date = own.record.provenance.date[:10]
        return date, own.page, own.setting, own.method, own.against

    title = f"All {len(behind)} as a table, and the {len(nothing)} in which nothing is shown"
    single = sum(own.single for own in behind)
    return [
        "Learned methods against random images and herding, DataDAM against DM of the same "
        "settings, other settings against the preset's or what is nearest to it, proxies of a "
        "search against random images; by the records' dates. "
        f"In {len(behind)} such comparisons{f', {single} of single sets,' if single else ''} a "
        "method is shown to be behind:",
        [_line(own) for own in _grouped(behind, place)],
        Section(title, "negative-results", tables),
    ]


def _line(own: Sequence[Comparison]) -> str:
    """Comparisons that differ in the images a class alone, in one line."""
    first = own[0]
    date, name = first.record.provenance.date[:10], first.record.protocol.dataset.name
    where = f"{name}, {KINDS[first.record.kind]}: {first.setting}"
    values = ", ".join(
        " ".join([difference(c.difference, decimals=c.decimals), *_which(c)]) for c in own
    )
    pair = f"`{first.method}` minus `{first.against}`"
    return f"{date}: {pair} {values}; {link(first.page, where)}."


def _which(own: Comparison) -> list[str]:
    """Its images a class, and that it is of one set, in brackets."""
    words = [*([f"ipc {own.ipc}"] if own.ipc else []), *(["one set"] if own.single else [])]
    return [f"({', '.join(words)})"] if words else []


def _lines(known: Sequence[Comparison]) -> pd.DataFrame:
    rows = [
        {"date": own.record.provenance.date[:10]}
        | {"difference": difference(own.difference, decimals=own.decimals)}
        | {"method": own.method, "against": own.against}
        | {"dataset": own.record.protocol.dataset.name, "ipc": own.ipc}
        | {"sets": own.difference.sets if own.record.kind != "nas" else None}
        | {"where": f"{KINDS[own.record.kind]}: {own.setting}", "": link(own.page)}
        for own in known
    ]
    rows.sort(key=lambda row: row["date"])
    return whole_numbers(pd.DataFrame(rows))


# ------------------------------------------------------------------ tables and figures


def _methods(
    records: Sequence[Record], pages: Mapping[str, Page], known: Sequence[Comparison]
) -> list[Block]:
    """Every method as its presets have it, judged for the most epochs."""
    where, most, rows = compared.where(pages), {}, []
    for members in compared.alike([r for r in records if r.kind == "classification"]):
        for record in (own for stand in compared.standing(members).values() for own in stand):
            other = most.setdefault(compared.any_epochs(record), record)
            if other.protocol.recipe.epochs < record.protocol.recipe.epochs:
                most[compared.any_epochs(record)] = record
    for record in most.values():
        (table,) = pages[where[record.key]].tables
        row = table.frame.iloc[list(table.keys).index(record.key)]
        own = {"dataset": record.protocol.dataset.name, "method": row["method"]}
        own |= {"ipc": record.cell.making.ipc}
        own |= {name: row.get(name) for name in ("accuracy", MINUS, "n", "reported")}
        rows.append(own | {"judge": link(where[record.key], compared.setting(record))})
    order = in_order(row["method"] for row in rows)
    rows.sort(key=lambda r: (r["dataset"], r["ipc"], r["judge"], order.index(r["method"])))
    tables = []
    for name, own in itertools.groupby(rows, key=lambda row: row["dataset"]):
        frame = pd.DataFrame(own).drop(columns="dataset").dropna(axis="columns", how="all")
        tables.append(Table(frame, caption=f"{name}:"))
    others = [own for own in known if own.name != OURS and not (own.variant or own.single)]
    return [
        "Networks trained on the set alone; reported: the published figure of that cell.",
        *tables,
        Table(_tally(others), caption="The other methods, as DataDAM above:"),
    ]


def _topics(pages: Mapping[str, Page]) -> list[Section]:
    """Pages below their headings; of a kind that has none, below its name."""
    below: dict[tuple[str, str], list[Block]] = {topic[:2]: [] for topic in TOPICS}
    for name, page in pages.items():
        kind = name.partition("-")[0]
        topic = next((topic[:2] for topic in TOPICS if re.fullmatch(topic[2], name)), None)
        if topic is None and kind in KINDS:
            continue  # its rows are in the table of methods
        blocks = below.setdefault(topic or (kind.capitalize(), kind), [])
        blocks.append(f"**{page.title}** ({link(name, 'whole page')})")
        if not re.fullmatch(LINKED, name):
            blocks += page.summary[:SHOWN]
        blocks += [_figure(name, page, end) for end in list(page.drawings)[:1]]
    return [Section(*topic, blocks) for topic, blocks in below.items() if blocks]


def _pictures(galleries: Sequence[Figure]) -> list[Section]:
    """One section; none without galleries."""
    said = "By `python -m benchmarks.gallery`; the accuracy beside a row is that of its very set."
    blocks = [block for own in galleries for block in (f"**{own.title}**", own)]
    return [Section("What the sets look like", "pictures", [said, *blocks])] if blocks else []


def _whole(name: str, page: Page) -> Section:
    figures = [_figure(name, page, end) for end in page.drawings]
    return Section(page.title, name, [*page.tables, *figures, page.note], page.commands)


def _figure(name: str, page: Page, end: str) -> Figure:
    return Figure(f"figures/{name}{end}.png", page.drawings[end].title)
