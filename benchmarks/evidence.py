"""What the measured values prove: means, 95 % intervals, paired differences, verdicts.

Every figure is a mean over distilled sets x class orders x networks. The levels are nested: a set
serves orders of its own (order o uses set o mod N), an order trains networks of its own.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from downstream.nas import ranking

RESAMPLES = 2000
"""Of every bootstrap, always from the same seed: the same runs give the same interval."""
PERCENTILES = (2.5, 97.5)
ACCURACY_MARGIN = 1.0
"""Points by which an accuracy may miss a published one and still agree with it."""
CORRELATION_MARGIN = 0.05
"""By how much a rank correlation may miss a published one and still agree with it."""
PERCENT = (0.0, 100.0)
"""What an accuracy can be."""
MOST = 1000
"""A verdict that needs more units than this is not promised."""


class Run(NamedTuple):
    """One measured value, and the set, the class order and the network that it belongs to."""

    set: int
    order: int
    network: int
    value: float


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        mean: over sets of the means over their orders of the means over their networks.
        low, high: ends of the interval; NaN if one unit alone was measured.
        deviation: standard deviation over all runs, divisor n - 1; NaN for one run, and for a
            correlation, which is one figure over all networks.
        sets, orders: how many different ones.
        networks: how many in each set and order; the fewest where they differ.
        runs: how many values in all.
    """

    mean: float
    low: float
    high: float
    deviation: float
    sets: int
    orders: int
    networks: int
    runs: int

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels of more than one unit, whose spread the interval holds; the first is resampled.

        Without "sets" the interval says nothing of how another distilled set would do.
        """
        return tuple(level for level in ("sets", "orders", "networks") if getattr(self, level) > 1)


def estimate(
    runs: Iterable[Run], *, within: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """The mean of the runs, each level weighted equally, with its 95 % interval.

    The bootstrap resamples the first level that has more than one unit (sets; orders if there is
    one set; networks if there is one order) and keeps each unit whole. A unit's mean already
    varies with what was drawn below it; resampling the lower levels as well would count their
    spread twice (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section
    3.8). In 1,000 simulated 5 sets x 3 networks, all normal, this interval held the truth in 94 %
    of cases, whether sets differed as much as networks or not at all; resampling every level
    made it 13 % and 42 % wider and held the truth in 98 % and 99.5 %.

    A percentile interval over n units is too narrow: their spread is divided by n where n - 1 is
    due, and the normal quantile stands for Student's. So it is widened about the mean by
    sqrt(n / (n - 1)) * t(n - 1, 0.975) / 1.96.

    Args:
        within: what the mean can be at all; an interval does not reach beyond.
    """
    runs = sorted(runs)
    assert runs, "an estimate needs a run"
    assert len({run[:3] for run in runs}) == len(runs), "two runs share set, order and network"
    by_order: dict[tuple[int, int], list[float]] = {}
    for run in runs:
        by_order.setdefault((run.set, run.order), []).append(run.value)
    by_set: dict[int, list[float]] = {}
    for (chosen, _), values in by_order.items():
        by_set.setdefault(chosen, []).append(float(np.mean(values)))
    sets = [float(np.mean(means)) for means in by_set.values()]
    orders = next(iter(by_set.values()))
    networks = next(iter(by_order.values()))
    units = next((level for level in (sets, orders, networks) if len(level) > 1), sets)
    values = [run.value for run in runs]
    low, high = np.clip(_interval(np.array(units)), *within)
    return Estimate(
        mean=float(np.mean(sets)),
        low=float(low),
        high=float(high),
        deviation=float(np.std(values, ddof=1)) if len(values) > 1 else math.nan,
        sets=len(by_set),
        orders=len({run.order for run in runs}),
        networks=min(map(len, by_order.values())),
        runs=len(runs),
    )


def paired(runs: Iterable[Run], reference: Iterable[Run]) -> Estimate | None:
    """The mean of value - reference over the runs of the same set, order and network.

    Returns:
        The estimate, as of `estimate`; None unless every run has its partner, so that a difference
        never rests on fewer runs than the row that it stands in.
    """
    others = {run[:3]: run.value for run in reference}
    runs = list(runs)
    if any(run[:3] not in others for run in runs):
        return None
    return estimate([run._replace(value=run.value - others[run[:3]]) for run in runs])


def clear(difference: Estimate) -> bool:
    """Whether the interval of a paired difference leaves out 0: only then does one lead."""
    return difference.low > 0 or difference.high < 0


def _interval(units: np.ndarray) -> tuple[float, float]:
    """The widened percentile interval of the mean of units [n]; NaN for one."""
    count = len(units)
    if count < 2:
        return math.nan, math.nan
    means = _counts(count) @ (units - units.mean()) / count
    low, high = np.percentile(means, PERCENTILES) * math.sqrt(count / (count - 1))
    wider = _student(count) / special.ndtri(0.975)
    return float(units.mean() + low * wider), float(units.mean() + high * wider)


@functools.lru_cache(maxsize=4)
def _counts(count: int) -> np.ndarray:
    """How often each of n units stands in each resample: [R, n]."""
    drawn = np.random.RandomState(0).randint(count, size=(RESAMPLES, count))
    places = drawn + count * np.arange(RESAMPLES)[:, None]
    flat = np.bincount(places.ravel(), minlength=RESAMPLES * count)
    return flat.reshape(RESAMPLES, count).astype(float)


def _student(count: int | np.ndarray) -> float | np.ndarray:
    """Student's 97.5 % quantile for n units."""
    return special.stdtrit(np.asarray(count) - 1, 0.975)


def correlation(
    proxy: Sequence[float | None],
    truth: Sequence[float | None],
    *,
    top: bool = False,
) -> Estimate:
    """Spearman's rank correlation of a proxy with the truth, and its interval over the networks.

    Args:
        proxy, truth: what ranks every network, higher is better; None where it is not known. Such
            a network is left out.
        top: over the best fifth by the truth (of all networks whose truth is known) alone.

    Returns:
        One set, one order, n networks. NaN where the correlation is not defined; a resample in
        which it is not (all equal) is left out.
    """
    (ours,), theirs = aligned([proxy], truth, top=top)
    correlate = ranking.spearman_resampled
    return over_networks(lambda counts: correlate(ours, theirs, counts=counts), len(theirs))


def paired_correlation(
    proxy: Sequence[float | None],
    reference: Sequence[float | None],
    truth: Sequence[float | None],
    *,
    top: bool = False,
) -> Estimate:
    """How much better a proxy ranks than another: correlation(proxy) - correlation(reference).

    Both over the same networks (those that all three know) and the same resamples; see
    `correlation`.
    """
    (ours, others), theirs = aligned([proxy, reference], truth, top=top)
    correlate = ranking.spearman_resampled
    return over_networks(
        lambda counts: (
            correlate(ours, theirs, counts=counts) - correlate(others, theirs, counts=counts)
        ),
        len(theirs),
    )


def aligned(
    proxies: Sequence[Sequence[float | None]], truth: Sequence[float | None], *, top: bool
) -> tuple[list[np.ndarray], np.ndarray]:
    """The proxies and the truth over the networks that all of them know: arrays of [n]."""
    *ranked, theirs = (np.array(values, dtype=float) for values in (*proxies, truth))
    known = ~np.isnan(theirs)
    if top and known.any():
        known[known] = ranking.top(theirs[known])
    for values in ranked:
        known = known & ~np.isnan(values)
    return [values[known] for values in ranked], theirs[known]


def over_networks(measure: Callable[[np.ndarray], np.ndarray], count: int) -> Estimate:
    """A measure that takes counts [R, n], on the n networks themselves and on resamples."""
    value = low = high = math.nan
    if count > 1:
        value, *resampled = measure(np.vstack([np.ones(count), _counts(count)]))
        defined = [drawn for drawn in resampled if not math.isnan(drawn)]
        if defined:
            low, high = np.percentile(defined, PERCENTILES)
    return Estimate(float(value), float(low), float(high), math.nan, 1, 1, count, count)


def shares(measure: Callable[[np.ndarray], np.ndarray], count: int) -> list[Estimate]:
    """As `over_networks`, of several shares that cannot be below 0: from counts [R, n] to [R, A].

    A network drawn twice makes what is chance look like more, so that resamples lie too high: they
    are moved by as much as their mean lies above the value. NaN where the shares are not defined.
    """
    value, *resampled = measure(np.vstack([np.ones(count), _counts(count)]))
    if count < 2 or np.isnan(value).all():
        return [Estimate(*[math.nan] * 4, 1, 1, count, count) for _ in value]
    low, high = np.nanpercentile(resampled, PERCENTILES, axis=0)
    above = np.nanmean(resampled, axis=0) - value
    ends = zip(value, np.maximum(low - above, 0), np.maximum(high - above, 0), strict=True)
    return [Estimate(*map(float, own), math.nan, 1, 1, count, count) for own in ends]


def verdict(measured: Estimate, published: float, *, margin: float) -> str:
    """How a measured mean stands to a published figure.

    With the difference d = mean - published and its interval [low - published, high - published]
    (the published figure is taken as exact):

    - "agrees" if the interval lies within [-margin, margin];
    - "below by x" or "above by x", x = |d|, if it lies wholly outside;
    - else "undecided", with the number of units (of the first level that has more than one) that
      in all would decide it if d stays as it is: the interval's arms shrink as
      t(n - 1, 0.975) / sqrt(n). No number is given if d lies on the margin to within a twentieth
      of it (0.05 points of accuracy) or more than 1,000 units would be needed;
    - "undecided; one run" if there is no interval.

    Args:
        margin: ACCURACY_MARGIN or CORRELATION_MARGIN; in the unit of the mean.
    """
    if math.isnan(measured.low):
        return "undecided" if measured.levels else "undecided; one run"
    low, high = measured.low - published, measured.high - published
    difference = measured.mean - published
    if -margin <= low and high <= margin:
        return "agrees"
    if low > margin or high < -margin:
        side = "above" if low > margin else "below"
        return f"{side} by {abs(difference):.{max(1, math.ceil(-math.log10(margin)))}f}"
    needed = _deciding(measured, difference, margin=margin)
    return "undecided" + (f"; about {needed} {measured.levels[0]} would decide" if needed else "")


def _deciding(measured: Estimate, difference: float, *, margin: float) -> int | None:
    """How many units in all would decide an undecided verdict; None if that cannot be promised."""
    if abs(abs(difference) - margin) < margin / 20:
        return None
    lower, upper = measured.mean - measured.low, measured.high - measured.mean
    if abs(difference) < margin:
        times = max(upper / (margin - difference), lower / (margin + difference))
    else:
        times = (lower if difference > 0 else upper) / (abs(difference) - margin)
    count = getattr(measured, measured.levels[0])
    more = np.arange(count + 1, MOST + 1)
    enough = _student(more) / np.sqrt(more) <= _student(count) / math.sqrt(count) / times
    return int(more[enough][0]) if enough.any() else None
