"""What results/ shows of architecture search."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks.evidence import Estimate
from benchmarks.made_with import made_with
from benchmarks.nas import figures, importance
from benchmarks.nas.rows import (
    COLUMNS,
    MINUS,
    choice_of,
    correlation_frame,
    growth_frame,
    is_truth,
    norm_frame,
    of_convnets,
    ordered,
    row_labels,
    row_of,
    scatter_frame,
)
from benchmarks.page import (
    Drawing,
    Page,
    Table,
    at_precision,
    counted,
    difference,
    interval,
    names_for_people,
)
from benchmarks.record import Record
from benchmarks.reported import Reported
from distill.training.recipes import Recipe

WHOLE = dict.fromkeys(("steps", "parameters", "kFLOPs", "n, top 20 %"), "Int64")
"""Columns of whole numbers, of which some rows have none."""
NOTE = """\
Spearman: rank correlation of what the proxy gives the networks with their accuracy on the whole
dataset, over all n networks and over the best fifth by the whole dataset, with its 95 % interval
from a bootstrap over these networks. minus random: the paired difference to random images (as many
a class, trained on alike; for a proxy without images of its own those trained on for as many steps,
else the most images) over the same networks and resamples, bold where its interval leaves out 0:
only then does one rank better. Every row is one set and one seed of the trainings: no interval says
how another set would do. Trials on a proxy share no weights and mini-batches with the ground truth,
and the same ones with each other. whole with another seed is the ceiling: the whole dataset against
itself. parameters and flops compute nothing: the larger network is ranked higher. synflow and
jacob_cov score random weights, drawn once; a network whose score is not finite is ranked last.
top-1: accuracy (%) on the whole dataset of the network that the proxy ranks first; top-5: mean of
its first five; regret: best there is minus top-1. steps: of a trial. images: that the proxy looks
at; KiB: what those take that it stores, to which jacob_cov's mini-batch of real images does not
belong. minutes: all trials one after the other. failed: trials without a result, which are left
out; those of synflow and jacob_cov are ranked last. commit: of the code; + marks uncommitted
changes.
"""
REPORTED_NOTE = """\
reported: the published figure of the method at so many images a class, at another scale: 720
networks of width 32 to 256, each trained for days in all on a GPU. verdict, in the published space
alone: agrees, if the whole interval lies within 0.05 of it.
"""
SEARCH_NOTE = """\
A search tries only so many networks, each strategy others. top-1: accuracy (%) on the whole dataset
of the network that was best on the proxy; top-5: mean of its first five. steps: of a trial. images,
KiB: what the proxy stores. minutes: all trials one after the other. failed: trials without a
result. One run each: no interval, and so no lead, can be given. commit: of the code; + marks
uncommitted changes.
"""


def pages(records: Sequence[Record], published: Sequence[Reported]) -> dict[str, Page]:
    """A page for each ranking, and one for each budget of searches."""
    return {
        name: _search(members) if members[0].protocol.trials else _ranking(members, published)
        for name, members in names_for_people(records, _base).items()
    }


def _base(record: Record) -> str:
    p = record.protocol
    if p.trials:
        return f"nas-search-{p.dataset.name}-{p.trials}-trials"
    return f"nas-{p.dataset.name}-{p.networks}-networks"


def _title(record: Record) -> str:
    p = record.protocol
    what = f"searches of {p.trials} trials" if p.trials else f"{p.networks} networks"
    fields = p.truth["recipe"]
    epochs, batch = (fields.get(name, getattr(Recipe(), name)) for name in ("epochs", "batch"))
    named = f"{p.dataset.name}, {what} of the {p.space} space"
    named += at_precision(p.truth.get("precision", "float32"))
    return f"{named}: whole dataset {counted(epochs, 'epoch')}, batch {batch}"


def _ranking(records: Sequence[Record], published: Sequence[Reported]) -> Page:
    records = ordered(records)
    named = row_labels(records)
    rows = [row_of(record, records, published, label=named[record.key]) for record in records]
    keys = [record.key for record in records]
    texts = pd.DataFrame([_texts(row) for row in rows]).astype(WHOLE)
    known = any("reported" in c and texts[c].notna().any() for c in texts)
    texts = texts.drop(columns=[c for c in texts if _empty(c, texts)])
    ranked = [c for c in COLUMNS if c in texts]
    own = ["steps", *ranked, "n", "n, top 20 %"]
    first = Table(texts[["proxy", *own]], keys)
    chosen = [c for c in texts if c not in own]
    tables = [first, Table(texts[chosen], keys, "What each would choose, and what it costs:")]
    compared = [record for record in records if not is_truth(record)]
    if any(map(of_convnets, compared)):
        norms = [c.key for c in compared]
        tables.append(Table(norm_frame(compared), norms, "Spearman among networks of one norm:"))
    decided = importance.frame(records)
    tables += importance.tables(records, decided)
    summary = [*ranked, "top-1", "regret", "images", "minutes"]
    title = _title(records[0])
    return Page(
        title,
        tables,
        "".join([NOTE, REPORTED_NOTE * known, importance.NOTE * (not decided.empty)]),
        pd.DataFrame([_numbers(row) for row in rows]).astype(WHOLE),
        [Table(texts[["proxy", *summary]], keys)],
        _drawings(compared, rows, decided, title),
        made_with(records),
    )


def _empty(column: str, texts: pd.DataFrame) -> bool:
    """A column of published figures or differences that says nothing on this page."""
    optional = column.endswith(("reported", "verdict", MINUS, "without batch norm"))
    return optional and bool(texts[column].isin([None, "–"]).all())


def _drawings(
    compared: Sequence[Record], rows: Sequence[dict], decided: pd.DataFrame, title: str
) -> dict[str, Drawing]:
    """The figures of the proxies, the ground truth itself left out; none of the truth alone."""
    frames = {
        "-correlation": (figures.correlation, correlation_frame(rows)),
        "-scatter": (figures.scatter, scatter_frame(compared, decided["axis"].unique())),
        "-growth": (figures.growth, growth_frame(compared)),
        "-importance": (figures.importance, importance.known(decided)),
    }
    return {end: Drawing(draw, frame, title) for end, (draw, frame) in frames.items() if len(frame)}


def _search(records: Sequence[Record]) -> Page:
    records = ordered(records)
    named = row_labels(records)
    frame = pd.DataFrame(
        {"proxy": named[r.key], "trials": len(r.results.names), "steps": r.cell.steps}
        | choice_of(r)
        for r in records
    ).drop(columns="regret")
    table = Table(frame, [record.key for record in records])
    title = _title(records[0])
    return Page(title, [table], SEARCH_NOTE, frame, [table], {}, made_with(records))


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it."""
    shown = dict(row)
    for name in COLUMNS:
        if name.endswith("reported"):
            shown[name] = None if row[name] is None else f"{row[name]:.2f}"
        elif not name.endswith("verdict"):
            text = difference if name.endswith(MINUS) else interval
            shown[name] = text(row[name], decimals=2)
    return shown


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the CSV file: plain numbers."""
    numbers: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Estimate):
            numbers |= {name: value.mean, f"{name} low": value.low, f"{name} high": value.high}
        else:
            numbers[name] = value
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in numbers.items()}
