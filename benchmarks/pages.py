"""What results/ shows of the records of one protocol: a page of text, a CSV frame, figures."""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from benchmarks import frames, nas_frames
from benchmarks.record import Record


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure to be drawn by the function `kind` of `benchmarks.figures`."""

    kind: str
    frame: pd.DataFrame
    title: str


@dataclasses.dataclass(frozen=True)
class Page:
    """All that is shown of some records.

    Attributes:
        title: in one line. tables: as people read them. note: what their columns mean.
        frame: the figures, for the CSV file. summary: for the README.
        drawings: by the end of the file's name.
        commands: that made the records.
    """

    title: str
    tables: list[pd.DataFrame]
    note: str
    frame: pd.DataFrame
    summary: pd.DataFrame
    drawings: dict[str, Drawing]
    commands: list[str]

    @property
    def text(self) -> str:
        """The whole page in Markdown."""
        commands = "\n".join(["Made with:\n", *(f"    {command}" for command in self.commands), ""])
        return "\n".join([f"# {self.title}\n", *map(markdown, self.tables), self.note, commands])


# ------------------------------------------------------------------ text


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table, aligned so that it reads well as plain text too."""
    cells = [list(frame.columns), *frame.map(_cell).values.tolist()]
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    rule = ["-" * (w - 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True)]
    lines = []
    for row in [cells[0], rule, *cells[1:]]:
        padded = [
            cell.rjust(w) if n else cell.ljust(w)
            for cell, w, n in zip(row, widths, numeric, strict=True)
        ]
        lines.append("| " + " | ".join(padded) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def made_with(records: Sequence[Record]) -> list[str]:
    """The commands that the records came from."""
    return sorted({record.provenance["command"] for record in records})


# ------------------------------------------------------------------ class-incremental learning

CONTINUAL_NOTE = """\
First the final accuracy, mean ± standard deviation over all runs, then all figures.

Accuracy in percent, on the test images of all classes seen. final: after the last step, mean over
all runs; ± all: standard deviation over all runs (orders x networks); ± orders: of the orders'
means; ± networks: within an order, mean over the orders. incremental: mean over the steps.
forgetting: best minus last accuracy of the earlier steps' classes. transfer: last minus first
(BWT). KB: the memory's pixels. distil s, train s: wall-clock seconds of the whole run; distil is 0
where the sets were in the cache. commit: of the code; + marks uncommitted changes.
"""


def describe(record: Record) -> str:
    """The protocol of a class-incremental record in one line."""
    p = record.protocol
    recipe = p["recipe"]
    return (
        f"{p['dataset']}, {p['steps']} steps, {p['strategy']}: {p['orders']} class orders x "
        f"{p['networks']} network{'s' * (p['networks'] > 1)}, {p['network']}, "
        f"{recipe['epochs']} epochs, batch {recipe['batch']}, seed {p['seed']}"
    )


def continual_page(records: Sequence[Record], reported: pd.DataFrame) -> Page:
    """Of one class-incremental protocol."""
    frame = frames.continual_frame(records, reported)
    summary = frames.summary_frame(frame)
    title = describe(records[0])
    drawings = {"": Drawing("curves", frames.curve_frame(records), title)}
    return Page(
        title, [summary, frame], CONTINUAL_NOTE, frame, summary, drawings, made_with(records)
    )


# ------------------------------------------------------------------ networks trained on a set alone

CLASSIFICATION_NOTE = """\
Test accuracy in percent, mean ± standard deviation over all runs, i.e. seeds of the set x networks
trained on each. verdict: agrees, if reported and reproduced differ by no more than the sum of their
deviations. targets: of how many random networks, or of a fresh one at each step; real images: a
class, for each target. distil s, train s: wall-clock seconds of all runs together; they also depend
on what else the machine did at the time.
"""


def classification_page(records: Sequence[Record], reported: pd.DataFrame) -> Page:
    """Of all records of networks trained on a set alone."""
    frame = frames.classification_frame(records, reported)
    title = "Accuracy of networks trained on the small set alone"
    drawings = {}
    if len(costs := frames.tradeoff_frame(records)):
        drawings["-seconds"] = Drawing(
            "tradeoff", costs, "DataDAM on CIFAR-10, networks of width 32"
        )
    return Page(title, [frame], CLASSIFICATION_NOTE, frame, frame, drawings, made_with(records))


# ------------------------------------------------------------------ architecture search

NAS_NOTE = """\
Rank correlation of the test accuracies that networks reach when trained on the proxy and on the
whole dataset, with the bootstrap 95 % interval over the networks; top 20 %: among the best fifth by
the whole dataset. steps: optimiser steps of one trial. A row with another seed of `whole` shows how
well the ground truth agrees with itself: no proxy can be expected to rank better. A difference
smaller than the intervals is none to build on.

top-1: accuracy (%) on the whole dataset of the network that the proxy ranks first (of equals, the
smaller); top-5: mean of its first five; regret: the best network's accuracy minus top-1.
parameters, MFLOPs (forward, one image): of the chosen network. images, KB: what must be stored.
minutes: all trials together, one after the other; distil min: making the images, 0 where they were
in the cache. failed: trials without a result, which count in no correlation.

Last: Spearman's correlation among the networks of one norm, and among all but those with batch
norm. A batch norm's statistics are those of the proxy's images, and may not suit real ones.
"""

REPORTED_NOTE = """\
reported: DataDAM's poster (Tables 5 and 6), 50 images per class, all 720 networks of widths 32 to
256: another scale than this table's.
"""


SEARCH_NOTE = """\
top-1: accuracy (%) on the whole dataset of the network found, the best on the proxy; top-5: mean of
the best five. trials: how many networks were tried. Other columns as for the ranking of a sample.
"""


def describe_nas(record: Record) -> str:
    """The protocol of a record of architecture search in one line."""
    p = record.protocol
    truth = p["truth"]["recipe"]
    what = f"{p['networks']} networks" if p["networks"] else f"searches of {p['trials']} trials"
    return (
        f"{p['dataset']}, {what} of the {p['space']} space: whole dataset "
        f"{truth['epochs']} epoch{'s' * (truth['epochs'] > 1)}, batch {truth['batch']}"
    )


def nas_page(records: Sequence[Record], reported: pd.DataFrame) -> Page:
    """Of all proxies compared on one sample of networks."""
    frame, title = nas_frames.nas_frame(records, reported), describe_nas(records[0])
    unknown = frame["spearman reported"].isna().all()
    tables = [nas_frames.correlation_text(frame), nas_frames.choice_text(frame)]
    norms, drawings = None, {}
    if proxies := nas_frames.compared(records):
        points = nas_frames.scatter_frame(proxies)
        norms = nas_frames.norm_frame(points)
        tables.append(norms)
        own = frame["proxy"].isin(map(nas_frames.proxy, proxies))
        found = nas_frames.correlation_frame(frame[own])
        drawings["-correlation"] = Drawing("correlation", found, title)
        drawings["-scatter"] = Drawing("scatter", points, title)
        if len(grown := nas_frames.growth_frame(proxies)):
            drawings["-growth"] = Drawing("growth", grown, title)
    return Page(
        title,
        tables,
        NAS_NOTE if unknown else f"{NAS_NOTE}\n{REPORTED_NOTE}",
        frame,
        nas_frames.summary(frame, norms),
        drawings,
        made_with(records),
    )


def nas_search_page(records: Sequence[Record], reported: pd.DataFrame) -> Page:
    """Of searches with one budget."""
    frame = nas_frames.search_frame(records)
    shown = nas_frames.choice_text(frame)
    title = describe_nas(records[0])
    return Page(title, [shown], SEARCH_NOTE, frame, shown, {}, made_with(records))


# ------------------------------------------------------------------ cost


def cost_page(records: Sequence[Record], reported: pd.DataFrame) -> Page:
    """Of one table of `benchmarks.cost`: the last run, and the machine that it ran on."""
    (record,) = records
    found, made = record.metrics, record.provenance
    hardware = made["hardware"]
    where = f"{hardware['gpu'] or hardware['cpu']}, {hardware['cores']} cores"
    where += f", {record.protocol['threads']} threads"
    note = (
        f"{found['note']}\nMeasured on {made['date'][:10]}: {where}, torch "
        f"{made['versions']['torch']}, Python {made['python']}, commit {frames.commit(record)}.\n"
    )
    frame = pd.DataFrame(found["rows"])
    drawings = {}
    if "varied" in frame:
        drawings[""] = Drawing("cost_growth", frame, found["title"])
    return Page(found["title"], [frame], note, frame, frame, drawings, made_with(records))


PAGES = {
    "continual": continual_page,
    "classification": classification_page,
    "nas": nas_page,
    "nas-search": nas_search_page,
    "cost": cost_page,
}


def name_of(record: Record) -> str:
    """Of the page that a record belongs on; no page mixes protocols that cannot be compared."""
    p = record.protocol
    if record.kind == "classification":
        return record.kind
    if record.kind == "cost":
        return f"{record.kind}-{p['part']}-{p['device']}-{p['threads']}threads"
    parts = [record.kind, p["dataset"]]
    if record.kind == "continual":
        parts += [f"{p['steps']}steps", p["strategy"]]
    else:
        parts += [p["space"]] + ([f"{p['networks']}networks"] if p["networks"] else [])
    return "-".join([*parts, record.protocol_key])


def groups(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by the name of their page."""
    named: dict[str, list[Record]] = {}
    for record in records:
        named.setdefault(name_of(record), []).append(record)
    return dict(sorted(named.items()))
