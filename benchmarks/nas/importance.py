"""How much each axis of a space decides: of the truth, of a proxy, and where they disagree."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks import evidence
from benchmarks.evidence import Estimate
from benchmarks.nas.rows import is_truth, row_labels, scores_of
from benchmarks.page import Table, interval
from benchmarks.record import Record
from downstream.nas import ranking
from downstream.nas.own import axes_of

FEWEST = 30
"""Of fewer networks the shares are chance."""
SHOWN = 6
"""Axes of the figure; of a space of more, those that decide most."""
EXPLAINED, LOST = "share of the variance of the ranks (%)", "Spearman's correlation lost"
NOTE = """\
Each axis decides: the share (%) of the variance of the networks' ranks that the options of one axis
explain alone (eta squared; the last row: of the accuracy itself, not of ranks), with its 95 %
interval from a bootstrap over the networks. In a full grid the shares add up to 100 at most; the
rest is what axes decide together, and chance. An axis of L options that decides nothing gets about
100 (L - 1) / (n - 1). Lost by misjudging: the part of 1 - Spearman that lies between the options of
one axis: 0 where a proxy ranks them as the whole dataset does and gives them as much weight.
"""


def axes(records: Sequence[Record]) -> list[str]:
    """The axes of the ranked networks that have several options, first what decides most.

    Of the truth. None where it is known of fewer than FEWEST networks.
    """
    results = records[0].results
    if sum(value is not None for value in results.truth) < FEWEST:
        return []
    points = [axes_of(name) for name in results.names]
    varied = [axis for axis in points[0] if len({point[axis] for point in points}) > 1]
    decided = explained(results.truth, levels(results.names, varied))
    return sorted(varied, key=lambda axis: -np.nan_to_num(decided[varied.index(axis)].mean))


def levels(names: Sequence[str], axes: Sequence[str]) -> np.ndarray:
    """int [A, n]: a number for the option that each network has on each axis."""
    points = [axes_of(name) for name in names]
    columns = [[point[axis] for point in points] for axis in axes]
    return np.stack([np.unique(own, return_inverse=True)[1] for own in columns])


def explained(
    values: Sequence[float | None], levels: np.ndarray, *, ranks: bool = True
) -> list[Estimate]:
    """The share of the variance, from 0 to 1, that each axis explains (`ranking.explained`).

    Args:
        values: what ranks every network; None where it is not known: it is left out.
        levels: of `levels`. ranks: of the ranks, or of the values themselves.
    """
    given = np.array(values, dtype=float)
    known = ~np.isnan(given)
    own, levels = given[known], levels[:, known]
    measure = ranking.explained if ranks else ranking.explained_values
    return evidence.shares(lambda counts: measure(own, levels, counts=counts), len(own))


def lost(
    proxy: Sequence[float | None], truth: Sequence[float | None], levels: np.ndarray
) -> list[Estimate]:
    """How much of 1 - Spearman lies between the options of each axis (`ranking.lost`)."""
    ours, theirs = (np.array(values, dtype=float) for values in (proxy, truth))
    known = ~np.isnan(ours) & ~np.isnan(theirs)
    ours, theirs, levels = ours[known], theirs[known], levels[:, known]
    return evidence.shares(
        lambda counts: ranking.lost(ours, theirs, levels, counts=counts), len(ours)
    )


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row a measure, proxy and axis: whether it is the truth itself, the value, its interval.

    Args:
        records: of one ranking, in the order of the page.
    """
    named, points = row_labels(records), []
    ordered = axes(records)
    for record in records if ordered else ():
        results, true = record.results, is_truth(record)
        own = levels(results.names, ordered)
        for axis, share in zip(ordered, explained(scores_of(record), own), strict=True):
            points.append((EXPLAINED, axis, named[record.key], true, *_percent(share)))
        if not true:
            for axis, part in zip(
                ordered, lost(scores_of(record), results.truth, own), strict=True
            ):
                points.append((LOST, axis, named[record.key], true, part.mean, part.low, part.high))
    columns = ["measure", "axis", "proxy", "truth", "value", "low", "high"]
    points.sort(key=lambda point: point[0] == LOST)
    return pd.DataFrame(points, columns=columns)


def known(points: pd.DataFrame) -> pd.DataFrame:
    """What a figure can show: without undefined shares; nothing where no proxy has a share.

    Args:
        points: of `frame`.
    """
    defined = points.dropna(subset="value")
    return defined[:0] if defined["truth"].all() else defined


def _percent(estimate: Estimate) -> tuple[float, float, float]:
    return 100 * estimate.mean, 100 * estimate.low, 100 * estimate.high


def tables(records: Sequence[Record], points: pd.DataFrame) -> list[Table]:
    """What each axis decides and what each proxy loses by it; none where nothing is known.

    Args:
        records: of one ranking, in the order of the page. points: of `frame`.
    """
    if points.empty:
        return []
    keys = {label: key for key, label in row_labels(records).items()}
    made = []
    captions = {
        EXPLAINED: "How much each axis decides (%, of the ranks):",
        LOST: "Spearman's correlation lost by misjudging each axis:",
    }
    for measure, caption in captions.items():
        part = points[points["measure"] == measure]
        rows = [
            {"proxy": proxy} | {row.axis: _text(row, measure) for row in own.itertuples()}
            for proxy, own in part.groupby("proxy", sort=False)
        ]
        marked = [keys[row["proxy"]] for row in rows]
        if measure == EXPLAINED:
            rows.append(_accuracy(records, list(part["axis"].unique())))
            marked.append("")
        if rows:
            made.append(Table(pd.DataFrame(rows), marked, caption))
    return made


def _accuracy(records: Sequence[Record], axes: Sequence[str]) -> dict[str, str]:
    """The row of the true accuracy itself."""
    results = records[0].results
    decided = explained(results.truth, levels(results.names, axes), ranks=False)
    shown = (_interval(_percent(share), 0) for share in decided)
    return {"proxy": "accuracy on the whole dataset"} | dict(zip(axes, shown, strict=True))


def _text(row: object, measure: str) -> str:
    return _interval((row.value, row.low, row.high), 0 if measure == EXPLAINED else 2)


def _interval(ends: tuple[float, float, float], decimals: int) -> str:
    return interval(Estimate(*ends, math.nan, 1, 1, 1, 1), decimals=decimals)
