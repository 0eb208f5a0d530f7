"""Means, intervals that hold what they say, paired differences, and the rule of verdicts."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from benchmarks import evidence
from benchmarks.evidence import Estimate, Run


def runs_of(values, orders_in=1):
    """Runs of values [sets, networks] or [sets * orders_in, networks]: order o uses set o mod N."""
    sets = len(values) // orders_in
    return [
        Run(order % sets, order, network, float(value))
        for order, row in enumerate(values)
        for network, value in enumerate(row)
    ]


def between(mean, low, high, sets=5):
    return Estimate(mean, low, high, 1.0, sets, sets, 3, 3 * sets)


@pytest.mark.parametrize(("sets", "networks"), [(5, 3), (3, 5), (2, 3)])
@pytest.mark.parametrize("between_sets", [0.0, 1.0])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(sets, networks, between_sets):
    random, times = np.random.RandomState(1), 400
    held = 0
    for _ in range(times):
        effects = between_sets * random.randn(sets, 1)
        measured = evidence.estimate(runs_of(70 + effects + random.randn(sets, networks)))
        held += measured.low <= 70 <= measured.high
    assert 0.90 <= held / times <= 0.99


@pytest.mark.parametrize("sets", [4, 5, 10])
def test_the_interval_is_as_wide_as_students_over_the_means_of_the_sets(sets):
    ratios = []
    for values in np.random.RandomState(2).randn(100, sets, 3):
        low, high = stats.t.interval(0.95, sets - 1, scale=stats.sem(values.mean(1)))
        measured = evidence.estimate(runs_of(values))
        ratios.append((measured.high - measured.low) / (high - low))
    assert np.mean(ratios) == pytest.approx(1, abs=0.04)


def test_each_set_weighs_the_same_however_often_it_was_measured():
    runs = [Run(0, 0, k, 10.0) for k in range(9)]
    runs += [Run(1, 1, 0, 20.0), Run(1, 3, 0, 40.0), Run(1, 3, 1, 60.0)]
    measured = evidence.estimate(runs)
    assert measured.mean == pytest.approx((10 + (20 + 50) / 2) / 2)
    assert (measured.sets, measured.orders, measured.networks) == (2, 3, 1)


def test_n_stands_at_each_level_and_deviations_divide_by_n_less_one():
    values = np.arange(12.0).reshape(4, 3)
    measured = evidence.estimate(runs_of(values, orders_in=2))
    assert (measured.sets, measured.orders, measured.networks) == (2, 4, 3)
    assert measured.deviation == pytest.approx(math.sqrt(13))
    assert measured.levels == ("sets", "orders", "networks")


def test_an_interval_over_one_set_says_that_it_holds_no_spread_over_sets():
    runs = [run._replace(set=0) for run in runs_of(np.random.RandomState(3).randn(5, 3))]
    assert evidence.estimate(runs).levels == ("orders", "networks")
    alone = evidence.estimate([run for run in runs if run.order == 0])
    assert alone.levels == ("networks",) and alone.low < alone.mean < alone.high


def test_networks_alike_within_sets_that_differ_do_not_narrow_the_interval():
    rows = [[60.0], [70.0], [80.0]]
    once, often = (evidence.estimate(runs_of(np.tile(rows, count))) for count in (1, 8))
    assert (once.low, once.high) == pytest.approx((often.low, often.high))
    assert once.high - once.low > 20


def test_one_run_has_no_interval_and_no_deviation():
    measured = evidence.estimate([Run(0, 0, 0, 71.5)])
    assert measured.mean == 71.5 and measured.levels == ()
    assert all(map(math.isnan, (measured.low, measured.high, measured.deviation)))


def test_the_order_in_which_runs_are_read_changes_nothing():
    runs = runs_of(np.random.RandomState(4).randn(7, 3))
    assert evidence.estimate(runs) == evidence.estimate(reversed(runs))


def test_a_run_that_is_counted_twice_is_refused():
    with pytest.raises(AssertionError, match="two runs"):
        evidence.estimate([Run(0, 0, 0, 1.0), Run(0, 0, 0, 2.0)])


def test_an_estimate_is_quick():
    runs = runs_of(np.random.RandomState(5).randn(5, 3))
    evidence.estimate(runs)
    begun = time.perf_counter()
    for _ in range(5):
        evidence.estimate(runs)
    assert (time.perf_counter() - begun) / 5 < 0.05


def test_a_small_steady_difference_is_clear_though_the_intervals_overlap():
    values = 70 + 5 * np.random.RandomState(6).randn(5, 3)
    ours, reference = runs_of(values + 0.5 + 0.1 * np.arange(5)[:, None]), runs_of(values)
    difference = evidence.paired(ours, reference)
    assert difference.mean == pytest.approx(0.7) and evidence.clear(difference)
    assert evidence.estimate(ours).low < evidence.estimate(reference).high
    assert evidence.clear(evidence.paired(reference, ours))


def test_differences_are_of_the_same_run_and_of_all_runs_or_none():
    ours = [Run(0, 0, 0, 5.0), Run(0, 0, 1, 7.0)]
    reference = [Run(0, 0, 1, 4.0), Run(0, 0, 0, 4.0), Run(0, 1, 0, 0.0)]
    difference = evidence.paired(ours, reference)
    assert difference.mean == 2.0 and (difference.sets, difference.networks) == (1, 2)
    assert difference.runs == 2
    assert evidence.paired([*ours, Run(1, 1, 0, 99.0)], reference) is None


def test_a_difference_without_an_interval_or_around_nothing_is_not_clear():
    assert not evidence.clear(evidence.paired([Run(0, 0, 0, 9.0)], [Run(0, 0, 0, 1.0)]))
    equal = runs_of(np.random.RandomState(7).randn(5, 3))
    assert not evidence.clear(evidence.paired(equal, equal))


def test_the_interval_of_a_correlation_holds_the_truth_about_as_often_as_it_says():
    random, held, times = np.random.RandomState(8), 0, 150
    expected = 6 / math.pi * math.asin(math.sqrt(0.5) / 2)  # Spearman's, of a normal pair
    for _ in range(times):
        truth = random.randn(60)
        measured = evidence.correlation(truth + random.randn(60), truth)
        held += measured.low <= expected <= measured.high
    assert 0.89 <= held / times <= 0.99


def test_a_correlation_is_over_the_networks_that_are_known():
    truth = [1.0, 2.0, 3.0, 4.0, 5.0, None, 7.0]
    proxy = [1.0, 2.0, 3.0, 5.0, 4.0, 0.0, None]
    measured = evidence.correlation(proxy, truth)
    assert measured.mean == pytest.approx(0.9) and measured.networks == 5
    assert measured.levels == ("networks",)


def test_the_top_is_the_best_by_the_truth_whatever_trials_failed():
    truth = [float(v) for v in range(20)]
    proxy = [*truth[:16], 3.0, 2.0, None, 0.0]
    measured = evidence.correlation(proxy, truth, top=True)
    assert measured.mean == -1.0 and measured.networks == 3


def test_a_correlation_that_is_not_defined_has_no_interval():
    for proxy, truth in (([5.0] * 4, [1.0, 2.0, 3.0, 4.0]), ([1.0], [2.0]), ([None], [None])):
        for top in (False, True):
            measured = evidence.correlation(proxy, truth, top=top)
            assert math.isnan(measured.mean) and math.isnan(measured.low)


def test_resamples_without_a_correlation_are_left_out_of_the_interval():
    measured = evidence.correlation([1.0, 2.0, 2.0], [1.0, 2.0, 2.0])
    assert (measured.low, measured.high) == (1.0, 1.0)


def test_two_proxies_are_compared_on_the_same_networks():
    random = np.random.RandomState(9)
    truth = random.randn(300)
    good = truth + 0.5 * random.randn(300)
    worse = good + 0.4 * random.randn(300)
    difference = evidence.paired_correlation(good, worse, truth)
    assert evidence.clear(difference) and 0 < difference.mean < 0.1
    assert evidence.correlation(good, truth).low < evidence.correlation(worse, truth).high
    assert not evidence.clear(evidence.paired_correlation(good, good, truth))
    some = evidence.paired_correlation([None, *good[1:]], [*worse[:-1], None], truth)
    assert some.networks == 298


@pytest.mark.parametrize(
    ("low", "mean", "high", "said"),
    [
        (69.5, 70.2, 70.9, "agrees"),
        (69.0, 70.0, 71.0, "agrees"),
        (71.1, 72.34, 73.5, "above by 2.3"),
        (66.0, 67.25, 68.9, "below by 2.8"),
        (69.0, 71.0, 73.0, "undecided"),
        (69.02, 71.04, 73.0, "undecided"),
        (60.0, 71.1, 80.0, "undecided"),
    ],
)
def test_a_verdict_follows_from_where_the_interval_lies(low, mean, high, said):
    assert evidence.verdict(between(mean, low, high), 70.0, margin=1.0) == said


def test_a_correlation_is_judged_by_its_own_margin():
    measured = Estimate(0.62, 0.58, 0.66, math.nan, 1, 1, 100, 100)
    assert evidence.verdict(measured, 0.7, margin=0.05).startswith("undecided; about ")
    assert evidence.verdict(measured, 0.7, margin=0.05).endswith(" networks would decide")
    assert evidence.verdict(measured, 0.8, margin=0.05) == "below by 0.18"
    assert evidence.verdict(measured, 0.62, margin=0.05) == "agrees"


@pytest.mark.parametrize("mean", [70.4, 69.6, 72.0, 68.0])
@pytest.mark.parametrize(("lower", "upper"), [(1.5, 1.5), (1.5, 0.7), (0.7, 1.5)])
def test_as_many_sets_as_a_verdict_asks_for_decide_it_and_one_fewer_do_not(mean, lower, upper):
    def judged(sets):
        arm = stats.t.ppf(0.975, sets - 1) / math.sqrt(sets)
        measured = between(mean, mean - arm * lower, mean + arm * upper, sets)
        return evidence.verdict(measured, 70.0, margin=1.0)

    words = judged(4).split()
    assert words[:2] == ["undecided;", "about"] and words[3:] == ["sets", "would", "decide"]
    assert judged(int(words[2]) - 1).startswith("undecided")
    assert not judged(int(words[2])).startswith("undecided")


def test_nothing_is_judged_without_an_interval():
    alone = evidence.estimate([Run(0, 0, 0, 71.5)])
    assert evidence.verdict(alone, 71.5, margin=1.0) == "undecided; one run"
    flat = evidence.correlation([5.0] * 4, [1.0, 2.0, 3.0, 4.0])
    assert evidence.verdict(flat, 0.5, margin=0.05) == "undecided"
