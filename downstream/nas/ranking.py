"""How well a proxy ranks networks, and what it would choose.

Values only: their intervals are made from the accuracies when a page is made
(`benchmarks.evidence`). A correlation over resampled networks is computed from how often each
network was drawn, for all resamples at once, without sorting again.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

TOP = 0.2
"""The share of networks, best first by the ground truth, that is looked at on its own."""


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; ties share their mean rank. NaN if either is constant."""
    return float(spearman_resampled(first, second, counts=np.ones((1, len(first))))[0])


def spearman_resampled(first: np.ndarray, second: np.ndarray, *, counts: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation in each of R resamples of the same n networks.

    Args:
        first, second: [n], what ranks the networks.
        counts: [R, n], how often each network stands in each resample.

    Returns:
        [R]; NaN where either ranking is constant.
    """
    counts = np.asarray(counts, dtype=float)
    ours, theirs = _centred_ranks(first, counts), _centred_ranks(second, counts)
    return _ratio(
        (counts * ours * theirs).sum(1), (counts * ours**2).sum(1), (counts * theirs**2).sum(1)
    )


def explained(values: np.ndarray, levels: np.ndarray, *, counts: np.ndarray) -> np.ndarray:
    """Eta squared: the share of the variance of n networks' ranks that each axis explains alone.

    Between the options of the axis, sum(n_l * mean_l**2) over the sum of all squares, of ranks less
    their mean. In a full grid the shares of all axes add up to 1 at most; the rest is what axes
    explain together, and chance. An axis of L options that decides nothing gets about
    (L - 1) / (n - 1).

    Args:
        values: [n], what ranks the networks. levels: [A, n], a number for each option of an axis.
        counts: [R, n], how often each network stands in each resample.

    Returns:
        [R, A], from 0 to 1; NaN where the ranking is constant.
    """
    counts = np.asarray(counts, dtype=float)
    return _between(_standard_ranks(values, counts), levels, counts)


def explained_values(values: np.ndarray, levels: np.ndarray, *, counts: np.ndarray) -> np.ndarray:
    """As `explained`, of the values themselves."""
    counts = np.asarray(counts, dtype=float)
    mean = (counts * values).sum(1, keepdims=True) / counts.sum(1, keepdims=True)
    return _between(_standard(values - mean, counts), levels, counts)


def lost(
    first: np.ndarray, second: np.ndarray, levels: np.ndarray, *, counts: np.ndarray
) -> np.ndarray:
    """How much of 1 - Spearman is lost by misjudging the options of each axis.

    With ranks of mean 0 and sum of squares 1, the sum of the squared differences is
    2 * (1 - Spearman): half of what the axis explains of it, as `explained` does of ranks. It is 0
    where both rank the options alike and give them as much weight.

    Args:
        first, second: [n], what ranks the networks. levels, counts: as of `explained`.

    Returns:
        [R, A]; NaN where either ranking is constant.
    """
    counts = np.asarray(counts, dtype=float)
    difference = _standard_ranks(first, counts) - _standard_ranks(second, counts)
    return _between(difference, levels, counts) / 2


def _standard_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Ranks [R, n] of weighted mean 0 and weighted sum of squares 1; NaN where all are equal."""
    return _standard(_centred_ranks(values, counts), counts)


def _standard(deviations: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Deviations [R, n] of weighted mean 0, scaled to a sum of squares of 1."""
    squares = (counts * deviations**2).sum(1)
    return deviations / np.sqrt(np.where(squares > 0, squares, math.nan))[:, None]


def _between(deviations: np.ndarray, levels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums of squares [R, A] between the options, of deviations [R, n] of weighted mean 0."""
    totals, weighted = [], counts * deviations
    for own in levels:
        options = (own[:, None] == np.unique(own)).astype(float)
        sums, sizes = weighted @ options, counts @ options
        totals.append((sums**2 / np.maximum(sizes, 1)).sum(1))
    return np.stack(totals, axis=1)


def _centred_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean rank [R, n] of every network in every resample, less the mean of all ranks.

    `take` leaves a resample's numbers side by side, where an index would strew them: three times as
    fast.
    """
    _, place = np.unique(np.asarray(values, dtype=float), return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    equals = np.add.reduceat(counts.take(order, axis=1), starts, axis=1)
    ranks = np.cumsum(equals, axis=1) - (equals - 1) / 2
    return ranks.take(place, axis=1) - (counts.sum(1, keepdims=True) + 1) / 2


def _ratio(shared: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """shared / sqrt(first * second), NaN where that is 0 / 0."""
    scale = np.sqrt(first * second)
    return np.divide(shared, scale, out=np.full(len(scale), math.nan), where=scale > 0)


def top(truth: np.ndarray) -> np.ndarray:
    """Which networks are the best fifth by the ground truth, and those that tie with its last."""
    kept = max(2, math.ceil(TOP * len(truth)))
    return truth >= np.sort(truth)[::-1][min(kept, len(truth)) - 1]


def best_first(accuracies: Sequence[float | None], parameters: Sequence[int]) -> list[int]:
    """Places of the networks that were trained, best first; of equals, the smaller comes first."""
    trained = [i for i, accuracy in enumerate(accuracies) if accuracy is not None]
    return sorted(trained, key=lambda i: (-accuracies[i], parameters[i]))


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a proxy would choose, and what that is worth; None where no ground truth is known.

    Attributes:
        chosen: the place of the proxy's first network; None if no trial succeeded.
        top1: that network's accuracy on the whole dataset, percent.
        top5: the mean accuracy on the whole dataset of the proxy's first five, percent.
        best: the best accuracy on the whole dataset that there is, percent.
        regret: best - top1, points.
    """

    chosen: int | None
    top1: float | None
    top5: float | None
    best: float | None
    regret: float | None


def choose(
    proxy: Sequence[float | None], truth: Sequence[float | None], *, parameters: Sequence[int]
) -> Choice:
    """What the proxy would choose.

    Args:
        proxy, truth: accuracy in percent of every network; None where its trial failed or no
            ground truth is known. A network whose trial failed is never chosen.
        parameters: of every network.
    """
    order = best_first(proxy, parameters)
    known = [truth[i] for i in order[:5] if truth[i] is not None]
    best = max((value for value in truth if value is not None), default=None)
    top1 = truth[order[0]] if order else None
    return Choice(
        chosen=order[0] if order else None,
        top1=top1,
        top5=sum(known) / len(known) if known else None,
        best=best,
        regret=None if best is None or top1 is None else best - top1,
    )


def growth(
    looks: Sequence[Sequence[tuple[int, float]]], truth: Sequence[float | None]
) -> list[tuple[int, float]]:
    """How the correlation grows with the training steps on the proxy.

    Args:
        looks: of every network, (steps, accuracy) on the way; shorter where training broke off.
        truth: accuracy of every network on the whole dataset, or None.

    Returns:
        (steps, spearman) for each look, over the networks that were looked at to the end; NaN
        where one ranking is constant.
    """
    count = max(map(len, looks), default=0)
    whole = [i for i, own in enumerate(looks) if len(own) == count and truth[i] is not None]
    if len(whole) < 2:
        return []
    theirs = np.array([truth[i] for i in whole])
    return [
        (looks[whole[0]][k][0], spearman(np.array([looks[i][k][1] for i in whole]), theirs))
        for k in range(count)
    ]
