"""How well a proxy ranks networks: correlations with their intervals, and what it would choose."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 1000
"""Of the bootstrap."""
TOP = 0.2
"""The share of networks, best first by the ground truth, that is looked at on its own."""


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; ties share their mean rank. NaN if either is constant."""
    ranks = stats.rankdata(first), stats.rankdata(second)
    if np.ptp(ranks[0]) == 0 or np.ptp(ranks[1]) == 0:
        return math.nan
    return float(np.corrcoef(*ranks)[0, 1])


def kendall(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b. NaN if either is constant."""
    return float(stats.kendalltau(first, second).statistic)


def interval(
    measure: Callable[[np.ndarray, np.ndarray], float], first: np.ndarray, second: np.ndarray
) -> list[float | None]:
    """The correlation of two rankings, and its bootstrap 95 % interval over the networks.

    Returns:
        [value, low, high]; None where it is not defined.
    """
    random, drawn = np.random.RandomState(0), []
    for _ in range(RESAMPLES):
        chosen = random.randint(len(first), size=len(first))
        drawn.append(measure(first[chosen], second[chosen]))
    defined = [value for value in drawn if not math.isnan(value)]
    found = [measure(first, second), math.nan, math.nan]
    if defined:
        found[1:] = np.percentile(defined, [2.5, 97.5]).tolist()
    return [None if math.isnan(value) else round(value, 4) for value in found]


def top(truth: np.ndarray) -> np.ndarray:
    """Which networks are the best fifth by the ground truth, and those that tie with its last."""
    kept = max(2, math.ceil(TOP * len(truth)))
    return truth >= np.sort(truth)[::-1][min(kept, len(truth)) - 1]


def best_first(accuracies: Sequence[float | None], parameters: Sequence[int]) -> list[int]:
    """Places of the networks that were trained, best first; of equals, the smaller comes first."""
    trained = [i for i, accuracy in enumerate(accuracies) if accuracy is not None]
    return sorted(trained, key=lambda i: (-accuracies[i], parameters[i]))


def compare(
    proxy: Sequence[float | None], truth: Sequence[float | None], parameters: Sequence[int]
) -> dict[str, Any]:
    """How a proxy's ranking stands to the whole dataset's.

    Args:
        proxy, truth: accuracy in percent of every network; None where its trial failed. Such a
            network counts in no correlation and is never chosen.
        parameters: of every network.

    Returns:
        spearman, kendall and, over the best fifth, spearman_top, kendall_top: [value, low, high].
        ranked, ranked_top: over how many networks. chosen: the place of the proxy's first.
        top1: that network's accuracy on the whole data; top5: the mean of its first five; best:
        the best there is; regret: best minus top1. None where no ground truth is known.
    """
    both = [i for i, pair in enumerate(zip(proxy, truth, strict=True)) if None not in pair]
    ours = np.array([proxy[i] for i in both], dtype=float)
    theirs = np.array([truth[i] for i in both], dtype=float)
    found: dict[str, Any] = {"ranked": len(both), "ranked_top": 0}
    for name, measure in (("spearman", spearman), ("kendall", kendall)):
        found[name] = found[f"{name}_top"] = [None, None, None]
        if len(both) > 1:
            upper = top(theirs)
            found["ranked_top"] = int(upper.sum())
            found[name] = interval(measure, ours, theirs)
            found[f"{name}_top"] = interval(measure, ours[upper], theirs[upper])
    order = best_first(proxy, parameters)
    chosen = [truth[i] for i in order[:5] if truth[i] is not None]
    best = max((value for value in truth if value is not None), default=None)
    top1 = truth[order[0]] if order else None
    found |= {
        "chosen": order[0] if order else None,
        "top1": top1,
        "top5": round(sum(chosen) / len(chosen), 4) if chosen else None,
        "best": best,
        "regret": None if None in (best, top1) else round(best - top1, 4),
    }
    return found


def growth(
    looks: Sequence[Sequence[tuple[int, float]]], truth: Sequence[float | None]
) -> list[list[float | None]]:
    """How the correlation grows with the training steps on the proxy.

    Args:
        looks: of every network, [steps, accuracy] on the way; shorter where training broke off.
        truth: accuracy of every network on the whole dataset, or None.

    Returns:
        [steps, spearman, low, high] for each look at which all trained networks were looked at.
    """
    whole = max(map(len, looks), default=0)
    there = [i for i, own in enumerate(looks) if len(own) == whole and truth[i] is not None]
    if len(there) < 2:
        return []
    theirs = np.array([truth[i] for i in there], dtype=float)
    found = []
    for place in range(whole):
        ours = np.array([looks[i][place][1] for i in there], dtype=float)
        found.append([looks[there[0]][place][0], *interval(spearman, ours, theirs)])
    return found
