"""Records of architecture search as the rows of pandas frames."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks.frames import commit, in_order, label
from benchmarks.record import Record
from distill.networks import NORMS, parse
from downstream.nas.ranking import spearman

CORRELATIONS = ("spearman", "kendall", "spearman_top", "kendall_top")


def proxy(record: Record) -> str:
    """What a row is called: `datadam ipc=10`, and the seed and the strategy if not the usual."""
    parts = [label(record)]
    parts += [] if record.cell["ipc"] is None else [f"ipc={record.cell['ipc']}"]
    parts += [] if record.cell["seed"] == 0 else [f"seed={record.cell['seed']}"]
    strategy = record.cell["strategy"]
    return " ".join(parts) + ("" if strategy == "grid" else f", {strategy}")


def compared(records: Sequence[Record]) -> list[Record]:
    """Those that are not the ground truth itself."""
    return [
        record
        for record in records
        if record.cell["method"] != "whole"
        or record.cell["seed"] != record.protocol["truth"]["seed"]
    ]


def nas_frame(records: Sequence[Record], reported: pd.DataFrame) -> pd.DataFrame:
    """A row a proxy: correlations with their intervals, what it chose, what it cost.

    The published correlations of the method stand beside those of its dataset, whatever the scale.
    """
    rows = []
    for record in records:
        found = record.metrics
        row: dict[str, Any] = {"proxy": proxy(record), "steps": record.cell["steps"]}
        for name in CORRELATIONS:
            values = [math.nan if value is None else value for value in found[name]]
            row |= dict(zip((name, f"{name} low", f"{name} high"), values, strict=True))
        for name in ("spearman", "spearman_top"):
            row[f"{name} reported"] = published(record, name, reported)
        row |= {"ranked": found["ranked"], "ranked_top": found["ranked_top"], **choice(record)}
        rows.append(row)
    return in_order(pd.DataFrame(rows), by="proxy")


def choice(record: Record) -> dict[str, Any]:
    """What a run chose and what it cost."""
    found, cost = record.metrics, record.cost
    return {
        "top1": found["top1"],
        "top5": found["top5"],
        "regret": found["regret"],
        "chosen": found["chosen"],
        "parameters": found["chosen_parameters"],
        "MFLOPs": round(found["chosen_flops"] / 1e6, 2),
        "images": cost["stored_images"],
        "KB": round(cost["stored_bytes"] / 1024, 1),
        "minutes": round(cost["seconds"]["trials"] / 60, 1),
        "distil min": round(cost["seconds"]["distil"] / 60, 1),
        "failed": len(found["failed"]),
        "commit": commit(record),
    }


def search_frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row a search: how, on what, and what the network found is worth on the whole dataset."""
    rows = [
        {
            "proxy": proxy(record),
            "trials": len(record.metrics["names"]),
            "steps": record.cell["steps"],
            **choice(record),
        }
        for record in records
    ]
    return in_order(pd.DataFrame(rows).drop(columns="regret"), by="proxy")


def published(record: Record, metric: str, reported: pd.DataFrame) -> float:
    """The published figure of a proxy's method on its dataset; NaN where there is none."""
    rows = reported[
        (reported["experiment"] == "nas")
        & (reported["dataset"] == record.protocol["dataset"])
        & (reported["method"] == record.cell["method"])
        & (reported["metric"] == metric)
    ]
    return float(rows["value"].iloc[0]) if len(rows) else math.nan


def bracketed(frame: pd.DataFrame, name: str) -> list[str]:
    """`0.72 [0.68, 0.76]` for every row."""
    columns = [frame[c] for c in (name, f"{name} low", f"{name} high")]
    return [
        "–" if math.isnan(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]"
        for value, low, high in zip(*columns, strict=True)
    ]


def correlation_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The correlations of a `nas_frame` as people read them."""
    titles = {"spearman": "Spearman, all", "spearman_top": "Spearman, top 20 %"}
    titles |= {"kendall": "Kendall, all", "kendall_top": "Kendall, top 20 %"}
    shown = frame[["proxy", "steps"]].copy()
    for name in ("spearman", "spearman_top", "kendall", "kendall_top"):
        shown[titles[name]] = bracketed(frame, name)
        known = frame.get(f"{name} reported")
        if known is not None and not known.isna().all():
            both = "reported" if name == "spearman" else "reported, top 20 %"
            shown[both] = ["–" if math.isnan(value) else f"{value:.2f}" for value in known]
    return shown


def choice_text(frame: pd.DataFrame) -> pd.DataFrame:
    """What each run chose, as people read it."""
    shown = frame.drop(
        columns=[c for c in frame if c.startswith(("spearman", "kendall", "ranked"))]
    )
    return shown.rename(columns={"top1": "top-1", "top5": "top-5"})


def norm_frame(points: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation among the networks of one norm, and among all but batch norm's.

    Of a `scatter_frame`.

    A batch norm's statistics are those of the proxy's images, which need not suit real ones.
    """
    rows = []
    for name, part in points.groupby("proxy", sort=False):
        kinds = {f"{norm} norm".replace("none", "no"): part["norm"] == norm for norm in NORMS}
        kinds["all but batch"] = part["norm"] != "batch"
        rows.append({"proxy": name} | {kind: among(part[own]) for kind, own in kinds.items()})
    return pd.DataFrame(rows)


def among(part: pd.DataFrame) -> str:
    """Spearman's correlation of some rows of a `scatter_frame`."""
    value = (
        spearman(part["accuracy"].to_numpy(), part["truth"].to_numpy()) if len(part) else math.nan
    )
    return "–" if math.isnan(value) else f"{value:.2f}"


def summary(frame: pd.DataFrame, norms: pd.DataFrame | None) -> pd.DataFrame:
    """The few columns of a `nas_frame`, and of its `norm_frame` if any, that the README shows."""
    shown = correlation_text(frame).drop(columns=["steps", "Kendall, all", "Kendall, top 20 %"])
    if norms is not None:
        known = norms.set_index("proxy")["all but batch"]
        shown.insert(2, "without batch norm", shown["proxy"].map(known).fillna("–"))
    shown["top-1"] = frame["top1"]
    return shown.assign(regret=frame["regret"], images=frame["images"], minutes=frame["minutes"])


def correlation_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Of a `nas_frame`: a row a proxy and share of the networks, with the published value."""
    parts = []
    for name, share in (("spearman", "all networks"), ("spearman_top", "top 20 %")):
        part = frame[["proxy"]].assign(networks=share, value=frame[name])
        part["low"], part["high"] = frame[f"{name} low"], frame[f"{name} high"]
        parts.append(part.assign(reported=frame[f"{name} reported"]))
    return pd.concat(parts)


def scatter_frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row a proxy and network: accuracy on both, and what the network is made of."""
    rows = []
    for record in records:
        found = record.metrics
        triples = zip(found["names"], found["accuracies"], found["truth"], strict=True)
        for name, accuracy, truth in triples:
            if None not in (accuracy, truth):
                spec = parse(name)
                rows.append((proxy(record), name, accuracy, truth, spec.norm, spec.pooling))
    columns = ["proxy", "network", "accuracy", "truth", "norm", "pooling"]
    return in_order(pd.DataFrame(rows, columns=columns), by="proxy")


def growth_frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row a proxy and look: training steps, correlation, interval."""
    rows = [(proxy(r), *look) for r in records for look in r.metrics["growth"]]
    frame = pd.DataFrame(rows, columns=["proxy", "steps", "spearman", "low", "high"]).dropna()
    return in_order(frame, by="proxy") if len(frame) else frame
