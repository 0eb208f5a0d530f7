"""Records as the rows of pandas frames, with the published figures beside them."""

import math
import statistics
from collections.abc import Collection, Sequence

import pandas as pd

from benchmarks.record import Record
from distill.networks import Spec, parse

ORDER = ("random", "herding", "kcenter", "dm", "datadam")
"""Methods in the order of the tables; any others follow."""
LAST = ("early-stopping", "whole")
"""The whole dataset comes last."""

EFFORT = ("networks", "real_batch", "iterations")
"""What of a matching method's configuration has columns of its own where cost is compared."""


def sorted_methods(labels: pd.Series) -> list[str]:
    """The labels that occur, in the order of `ORDER`, variants after their method."""
    known = {name: place for place, name in enumerate(ORDER)}
    known |= {name: len(ORDER) + 1 + place for place, name in enumerate(LAST)}
    return sorted(labels.unique(), key=lambda x: (known.get(x.split()[0], len(ORDER)), x))


def in_order(frame: pd.DataFrame, *first: str, by: str) -> pd.DataFrame:
    """Rows by the columns `first`, then in the order of the methods that the column `by` names."""
    place = frame[by].map(sorted_methods(frame[by]).index)
    placed = frame.assign(place=place).sort_values([*first, "place"], kind="stable")
    return placed.drop(columns="place")


def label(record: Record, *, without: Collection[str] = ()) -> str:
    """`datadam`, or with what was changed of its preset, `datadam power=1`.

    Changes that stand elsewhere in the row are left out: those `without`.
    """
    variant = record.cell.get("variant", {})
    changes = [f"{k}={v}" for k, v in sorted(variant.items()) if k not in without]
    return " ".join([record.cell["method"], *changes])


def commit(record: Record) -> str:
    """Of the code, shortened; `+` marks uncommitted changes."""
    found = record.provenance
    return (found["commit"] or "unknown")[:7] + ("" if found["clean"] else "+")


def continual_frame(
    records: Sequence[Record], reported: pd.DataFrame | None = None
) -> pd.DataFrame:
    """A row a record of class-incremental runs of one protocol.

    Where `reported` has a figure for one of the runs, there is a column for it and for the verdict.
    """
    rows = []
    for record in records:
        found, cost = record.metrics, record.cost
        rows.append(
            {
                "ipc": record.cell["ipc"],
                "buffer": label(record),
                "final": found["final"],
                "± all": found["final_std"],
                "± orders": found["final_std_orders"],
                "± networks": found["final_std_networks"],
                "incremental": found["incremental"],
                "forgetting": found["forgetting"],
                "transfer": found["backward_transfer"],
                "KB": round(cost["stored_bytes"] / 1024, 1),
                "distil s": round(cost["seconds"].get("distil", 0.0), 1),
                "train s": round(cost["seconds"]["train"], 1),
                "commit": commit(record),
            }
        )
    frame = pd.DataFrame(rows)
    if reported is not None:
        known = [published(record, reported)[0] for record in records]
        if not all(math.isnan(value) for value in known):
            spreads = zip(frame["final"], frame["± all"], known, strict=True)
            frame.insert(3, "reported", known)
            frame.insert(4, "verdict", [verdict(a, s, value, math.nan) for a, s, value in spreads])
    return in_order(frame, "ipc", by="buffer")


def curve_frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row a run and step: ipc, buffer, classes seen, accuracy on them."""
    rows = []
    for record in records:
        base, extra = divmod(classes_of(record), record.protocol["steps"])
        for curve in record.metrics["curves"]:
            seen = 0
            for step, accuracy in enumerate(curve):
                seen += base + (step < extra)
                rows.append((record.cell["ipc"], label(record), seen, accuracy))
    frame = pd.DataFrame(rows, columns=["ipc", "buffer", "classes", "accuracy"])
    return frame.sort_values(["ipc", "buffer", "classes"], kind="stable")


def classes_of(record: Record) -> int:
    """How many classes the dataset has."""
    return record.cost["stored_images"] // record.cell["ipc"]


def classification_frame(records: Sequence[Record], reported: pd.DataFrame) -> pd.DataFrame:
    """A row a record, with the published figure beside it and a verdict by rule."""
    rows = []
    for record in records:
        found, protocol, config = record.metrics, record.protocol, record.cell["config"]
        value, deviation = published(record, reported)
        rows.append(
            {
                "dataset": protocol["dataset"],
                "ipc": record.cell["ipc"],
                "method": label(record, without=EFFORT),
                "network": protocol["network"],
                "ZCA": "yes" if protocol["zca"] else "no",
                "targets": config.get("networks"),
                "real images": config.get("real_batch"),
                "steps": config.get("iterations"),
                "reported": spread(value, deviation),
                "reproduced": spread(found["accuracy"], found["accuracy_std"]),
                "runs": protocol["seeds"] * protocol["networks"],
                "verdict": verdict(found["accuracy"], found["accuracy_std"], value, deviation),
                "distil s": round(record.cost["seconds"]["distil"]),
                "train s": round(record.cost["seconds"]["train"]),
            }
        )
    frame = pd.DataFrame(rows).astype(dict.fromkeys(("targets", "real images", "steps"), "Int64"))
    frame = frame.sort_values(["targets", "real images", "steps"])
    frame = in_order(frame, "dataset", "ipc", "ZCA", "network", by="method")
    frame["targets"] = [targets(networks) for networks in frame["targets"]]
    return frame


def tradeoff_frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row a record of DataDAM whose cost can be compared: seconds a set against accuracy.

    These are the records on CIFAR-10, without ZCA, of networks of width 32, that vary the steps,
    the targets and the real images alone. error: the standard error of the mean over the sets.
    """
    rows = []
    for record in records:
        protocol, cell = record.protocol, record.cell
        if (
            cell["method"] == "datadam"
            and protocol["dataset"] == "cifar10"
            and not protocol["zca"]
            and parse(protocol["network"]).width == 32
            and set(EFFORT).issuperset(cell["variant"])
        ):
            config, sets = cell["config"], record.metrics["accuracies"]
            means = [sum(own) / len(own) for own in sets]
            kind = f"{config['networks']} bought" if config["networks"] else "fresh"
            if config["real_batch"] != 128:
                kind += f", {config['real_batch']} real"
            rows.append(
                {
                    "ipc": cell["ipc"],
                    "targets": kind,
                    "steps": config["iterations"],
                    "seconds": record.cost["seconds"]["distil"] / len(sets),
                    "accuracy": record.metrics["accuracy"],
                    "error": statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else 0.0,
                }
            )
    return pd.DataFrame(rows)


def published(record: Record, reported: pd.DataFrame) -> tuple[float, float]:
    """The published accuracy of a record's cell and its deviation; NaN where there is none.

    Published class-incremental figures are those of the paper preset's network and recipe; those of
    networks trained on a set alone are of the paper's network, with ZCA.
    """
    protocol, cell = record.protocol, record.cell
    if record.kind == "classification" and not (
        protocol["zca"] and protocol["network"] == str(Spec())
    ):
        return math.nan, math.nan
    experiment, classes = record.kind, pd.NA
    if record.kind == "continual":
        experiment = f"continual-{protocol['steps']}steps-{protocol['strategy']}"
        classes = classes_of(record)
    rows = reported[
        (reported["experiment"] == experiment)
        & (reported["metric"] == "accuracy")
        & (reported["dataset"] == protocol["dataset"])
        & (reported["ipc"] == cell["ipc"])
        & (reported["method"] == cell["method"])
        & ((reported["classes"] == classes) if classes is not pd.NA else True)
    ]
    return (rows["value"].iloc[0], rows["std"].iloc[0]) if len(rows) else (math.nan, math.nan)


def targets(networks: int | None) -> str:
    """Where a matching method had its targets from: `48 networks`, `fresh networks`."""
    return "" if pd.isna(networks) else f"{networks or 'fresh'} networks"


def verdict(reproduced: float, spread: float, reported: float, reported_spread: float) -> str:
    """`agrees` if they differ by no more than the sum of their deviations, else by how much."""
    if math.isnan(reported):
        return ""
    difference = reproduced - reported
    if abs(difference) <= spread + (0 if math.isnan(reported_spread) else reported_spread):
        return "agrees"
    return f"{'above' if difference > 0 else 'below'} by {abs(difference):.1f}"


def spread(mean: float, deviation: float) -> str:
    """`31.4 ± 0.8`; without a deviation `31.4`; without a mean nothing."""
    if math.isnan(mean):
        return ""
    return f"{mean:.1f}" if math.isnan(deviation) else f"{mean:.1f} ± {deviation:.1f}"


def summary_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Final accuracy, a row an ipc and a column a buffer."""
    text = [spread(*pair) for pair in zip(frame["final"], frame["± all"], strict=True)]
    wide = frame.assign(text=text).pivot_table("text", "ipc", "buffer", aggfunc="last")
    wide = wide[sorted_methods(frame["buffer"])].reset_index()
    return wide.rename(columns={"ipc": "images per class"}).rename_axis(columns=None)
