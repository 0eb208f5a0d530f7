"""Records of architecture search as rows of tables and figures."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks import evidence, reported
from benchmarks.evidence import Estimate
from benchmarks.order import in_order
from benchmarks.page import interval
from benchmarks.record import Record
from benchmarks.reported import Reported
from distill.architectures.convnet import NORMS
from distill.networks import parse
from downstream.nas import ranking, zero
from downstream.nas.own import axes_of
from downstream.nas.proxy import UNTRAINED
from downstream.nas.space import WIDTHS

REFERENCE = "random"
"""The proxy that the others are compared with."""
MINUS = f"minus {REFERENCE}"
SHARES = {"Spearman, all": "spearman", "Spearman, top 20 %": "spearman_top"}
"""The correlations that are shown, and what `reported.csv` calls them."""
COLUMNS = tuple(
    f"{name}{end}" for name in SHARES for end in ("", f", {MINUS}", ", reported", ", verdict")
) + ("without batch norm",)
"""What a ranking's row says of correlations, in this order."""


def is_truth(record: Record) -> bool:
    """Whether it is the ground truth itself."""
    return record.cell.proxy == "whole" and record.cell.seed == record.protocol.truth["seed"]


def row_labels(records: Sequence[Record]) -> dict[str, str]:
    """What each row is called, by the record's key: `datadam ipc=10`; all differ.

    Strategy and seed are named if not the usual; steps and the method's VERSION (and the record's
    key, should all else fail) where two rows would be called alike otherwise.
    """
    parts = {record.key: [_label(record)] for record in records}
    for more in (lambda r: f"{r.cell.steps} steps", _version, lambda r: r.key):
        names = [" ".join(own) for own in parts.values()]
        for record in records:
            if names.count(" ".join(parts[record.key])) > 1:
                parts[record.key].append(more(record))
    return {key: " ".join(own) for key, own in parts.items()}


def _label(record: Record) -> str:
    cell = record.cell
    parts = [record.label]
    parts += [] if cell.making is None else [f"ipc={cell.making.ipc}"]
    parts += [] if cell.seed == 0 else [f"seed={cell.seed}"]
    parts += [] if cell.strategy == "grid" else [cell.strategy]
    parts += [] if cell.together == 1 else [f"{cell.together} together"]
    if cell.proxy == "whole" and cell.strategy == "grid":
        parts.append("(ground truth)" if is_truth(record) else "(ceiling)")
    return " ".join(parts)


def _version(record: Record) -> str:
    return f"version {record.cell.making.version}" if record.cell.making else "again"


def reference(record: Record, records: Sequence[Record]) -> Record | None:
    """The record of random images that a row is compared with; None where there is none.

    For a proxy with images of its own: as many a class, trained on alike, from the same seed where
    there is one. For others: trained on for as many steps, else the most images.
    """
    cell = record.cell
    candidates = [r for r in records if r.cell.proxy == REFERENCE and r.key != record.key]
    if cell.proxy == REFERENCE:
        return None
    if cell.making is not None:
        candidates = [
            r
            for r in candidates
            if r.cell.making.ipc == cell.making.ipc and r.cell.recipe == cell.recipe
        ]

    def nearness(other: Record) -> tuple:
        own = other.cell
        return own.steps == cell.steps, own.seed == cell.seed, own.making.ipc, -own.seed

    return max(candidates, key=nearness, default=None)


def ordered(records: Sequence[Record]) -> list[Record]:
    """In the one order of tables and figures."""
    named = row_labels(records)
    places = {label: place for place, label in enumerate(in_order(named.values()))}
    return sorted(records, key=lambda r: places[named[r.key]])


def of_convnets(record: Record) -> bool:
    """Whether its space is one of ours, whose axes are known."""
    return record.protocol.space in WIDTHS


def scores_of(record: Record) -> list[float | None]:
    """What ranks the networks; one whose score is not finite stands below all others, at -inf."""
    scores = record.results.scores
    if record.cell.proxy not in zero.SCORES or not any(score is not None for score in scores):
        return scores
    return [-math.inf if score is None else score for score in scores]


def row_of(
    record: Record, records: Sequence[Record], published: Sequence[Reported], *, label: str
) -> dict[str, Any]:
    """Of a ranking's table: correlations, differences, published figures, choice and cost."""
    row: dict[str, Any] = {"proxy": label, "steps": record.cell.steps}
    row |= dict.fromkeys(COLUMNS)
    scores, truth = scores_of(record), record.results.truth
    other = reference(record, records)
    assert other is None or other.results.names == record.results.names
    for name, metric in SHARES.items():
        top = metric.endswith("top")
        if not is_truth(record):
            row[name] = evidence.correlation(scores, truth, top=top)
        if other is not None and not is_truth(record):
            row[f"{name}, {MINUS}"] = evidence.paired_correlation(
                scores, scores_of(other), truth, top=top
            )
        row |= _published(record, row[name], metric, name, published)
    if not is_truth(record) and of_convnets(record):
        row["without batch norm"] = _among(record, [norm for norm in NORMS if norm != "batch"])
    row["n"] = sum(None not in pair for pair in zip(scores, truth, strict=True))
    top = row["Spearman, top 20 %"]
    row["n, top 20 %"] = top.networks if top else None
    return row | choice_of(record)


def _among(record: Record, norms: Sequence[str]) -> Estimate:
    """The correlation over the networks of these norms."""
    results = record.results
    own = [parse(name).norm in norms for name in results.names]
    kept = [score if chosen else None for score, chosen in zip(scores_of(record), own, strict=True)]
    return evidence.correlation(kept, results.truth)


def _published(
    record: Record, measured: Estimate | None, metric: str, name: str, rows: Sequence[Reported]
) -> dict[str, Any]:
    """The published figure of the proxy's method, and in the published space what ours says of it.

    The published networks are ConvNets of many kinds, so network and norm are left open.
    """
    nothing = {f"{name}, reported": None, f"{name}, verdict": None}
    if measured is None or record.cell.proxy == "whole":  # published is the truth with itself
        return nothing
    making, p = record.cell.making, record.protocol
    row = reported.published(
        rows,
        experiment="nas",
        dataset=p.dataset.name,
        ipc=making.ipc if making else None,
        method=record.cell.proxy,
        metric=metric,
        network=None,
        norm=None,
        zca=False,
        epochs=record.cell.recipe.epochs if record.cell.recipe else None,
        recipe=None,
        factor=making.config.get("formation", 1) if making else 1,
        labels="hard",
    )
    if row is None:
        return nothing
    scale = (p.space, p.networks) == ("paper", 720)
    margin = evidence.CORRELATION_MARGIN
    verdict = evidence.verdict(measured, row.value, margin=margin) if scale else None
    return {f"{name}, reported": row.value, f"{name}, verdict": verdict}


def choice_of(record: Record) -> dict[str, Any]:
    """What a run chose and what it cost."""
    results = record.results
    choice = ranking.choose(results.scores, results.truth, parameters=results.parameters)
    chosen = choice.chosen
    return {
        "top-1": choice.top1,
        "top-5": choice.top5,
        "regret": choice.regret,
        "chosen": None if chosen is None else results.names[chosen],
        "parameters": None if chosen is None else results.parameters[chosen],
        "kFLOPs": None if chosen is None else round(results.flops[chosen] / 1000),
        "images": looked_at(record),
        "KiB": round(results.bytes / 1024, 1),
        "minutes": round(record.cost.seconds["trials"] / 60, 1),
        "distill min": round(sum(s.seconds for s in record.sets) / 60, 1),
        "failed": len(results.failed),
        "commit": record.commit,
    }


def looked_at(record: Record) -> int:
    """How many images a proxy looks at: those it stores, or a score's mini-batch of real ones."""
    scoring = record.cell.scoring
    takes = scoring is not None and record.cell.proxy in zero.LOOKING
    return scoring.images if takes else record.results.images


# ------------------------------------------------------------------ frames of figures


def correlation_frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row a proxy and share of the networks: proxy, networks, value, low, high, reported."""
    points = [
        (
            row["proxy"],
            name.removeprefix("Spearman, ").replace("all", "all networks"),
            row[name].mean,
            row[name].low,
            row[name].high,
            math.nan if row[f"{name}, reported"] is None else row[f"{name}, reported"],
        )
        for name in SHARES
        for row in rows
        if row[name] is not None and not math.isnan(row[name].mean)
    ]
    columns = ["proxy", "networks", "value", "low", "high", "reported"]
    return pd.DataFrame(points, columns=columns)


def scatter_frame(records: Sequence[Record], axes: Sequence[str]) -> pd.DataFrame:
    """A row a proxy that is trained on and network: accuracy on both, and what it is on two axes.

    Norm and pooling of ConvNets; of a user's own space the first two of `axes`, or of all.
    """
    named, points = row_labels(records), []
    usual = (list(axes) or list(axes_of(records[0].results.names[0]))) if records else []
    shown = ["norm", "pooling"] if all(map(of_convnets, records)) else usual[:2]
    for record in records:
        results = record.results
        for name, score, truth in zip(results.names, results.scores, results.truth, strict=True):
            if record.cell.proxy not in UNTRAINED and None not in (score, truth):
                own = axes_of(name)
                points.append((named[record.key], name, score, truth, *(own[a] for a in shown)))
    return pd.DataFrame(points, columns=["proxy", "network", "accuracy", "truth", *shown])


def growth_frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row a proxy and look: the steps done and Spearman's correlation then."""
    named, points = row_labels(records), []
    for record in records:
        for steps, value in ranking.growth(record.results.looks, record.results.truth):
            if not math.isnan(value):
                points.append((named[record.key], steps, value))
    return pd.DataFrame(points, columns=["proxy", "steps", "spearman"])


def norm_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Spearman's correlation among the networks of each norm.

    A batch norm's statistics are those of the proxy's images, which need not suit real ones.
    """
    named = row_labels(records)
    return pd.DataFrame(
        {"proxy": named[record.key]}
        | {
            f"{norm} norm".replace("none", "no"): interval(_among(record, [norm]), decimals=2)
            for norm in NORMS
        }
        for record in records
    )
