"""Correlations, their intervals, and what a proxy would choose."""

import math

import numpy as np
import pytest
from scipy import stats

from downstream import ranking

RANDOM = np.random.RandomState(0)


def test_correlations_are_scipys_with_ties():
    first, second = RANDOM.randint(0, 9, 60), RANDOM.randint(0, 9, 60)
    assert ranking.spearman(first, second) == pytest.approx(stats.spearmanr(first, second)[0])
    assert ranking.kendall(first, second) == pytest.approx(stats.kendalltau(first, second)[0])


def test_a_constant_ranking_has_no_correlation():
    flat, other = np.full(5, 10.0), np.arange(5.0)
    assert math.isnan(ranking.spearman(flat, other)) and math.isnan(ranking.kendall(flat, other))
    assert ranking.interval(ranking.spearman, flat, other) == [None, None, None]


@pytest.mark.parametrize(("count", "width"), [(720, 0.08), (64, 0.3)])
def test_the_interval_is_as_wide_as_the_sampling_error(count, width):
    truth = RANDOM.randn(count)
    value, low, high = ranking.interval(ranking.spearman, truth + RANDOM.randn(count), truth)
    assert low < value < high
    assert width / 2 < high - low < width * 2


def test_the_top_fifth_takes_in_its_ties():
    truth = np.array([90, 80, 80, 70, 60, 50, 40, 30, 20, 10.0])
    assert ranking.top(truth).nonzero()[0].tolist() == [0, 1, 2]
    assert ranking.top(np.array([3.0, 2.0, 1.0])).tolist() == [True, True, False]


def test_a_failed_trial_is_never_chosen_and_counts_nowhere():
    proxy, truth = [None, 40.0, 30.0, 20.0], [99.0, 80.0, 70.0, None]
    found = ranking.compare(proxy, truth, [1, 1, 1, 1])
    assert found["ranked"] == 2 and found["spearman"][0] == 1.0
    assert found["chosen"] == 1 and found["top1"] == 80.0 and found["top5"] == 75.0
    assert found["best"] == 99.0 and found["regret"] == 19.0


def test_of_equal_networks_the_smaller_is_chosen():
    found = ranking.compare([50.0, 50.0, 40.0], [60.0, 70.0, 80.0], [100, 10, 1])
    assert found["chosen"] == 1 and found["regret"] == 10.0


def test_the_top_correlation_is_that_of_the_best_by_the_whole_dataset():
    truth = [float(v) for v in range(20)]
    proxy = truth[:16] + [3.0, 2.0, 1.0, 0.0]
    found = ranking.compare(proxy, truth, [1] * 20)
    assert found["ranked_top"] == 4 and found["spearman_top"][0] == -1.0
    assert found["kendall_top"][0] == -1.0 and found["spearman"][0] < 1


def test_growth_has_a_point_a_look_and_leaves_out_broken_trials():
    looks = [[[2, 10.0], [4, 30.0]], [[2, 20.0], [4, 20.0]], [[2, 30.0], [4, 10.0]], [[2, 99.0]]]
    found = ranking.growth(looks, [3.0, 2.0, 1.0, 9.0])
    assert [point[:2] for point in found] == [[2, -1.0], [4, 1.0]]
    assert ranking.growth([[], []], [1.0, 2.0]) == []
