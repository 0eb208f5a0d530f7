"""Rank correlations, over resamples too, and what a proxy would choose."""

import math

import numpy as np
import pytest
from scipy import stats

from downstream.nas import ranking


def tied(count, seed=0):
    random = np.random.RandomState(seed)
    return random.randint(0, 9, count), random.randint(0, 9, count)


def test_the_correlation_is_scipys_with_ties():
    first, second = tied(60)
    assert ranking.spearman(first, second) == pytest.approx(stats.spearmanr(first, second)[0])


def test_a_resample_correlates_as_the_networks_written_out():
    first, second = tied(40)
    counts = np.random.RandomState(1).multinomial(40, [1 / 40] * 40, size=5)
    values = ranking.spearman_resampled(first, second, counts=counts)
    for value, times in zip(values, counts, strict=True):
        drawn = np.repeat(np.arange(40), times)
        assert value == pytest.approx(stats.spearmanr(first[drawn], second[drawn])[0])


def test_the_numbers_of_a_resample_lie_side_by_side():
    """Strewn, the pages of 720 networks took three times as long."""
    counts = np.random.RandomState(1).multinomial(40, [1 / 40] * 40, size=5).astype(float)
    for values in tied(40):
        assert ranking._centred_ranks(values, counts).flags.c_contiguous


def test_a_constant_ranking_has_no_correlation():
    flat, other = np.full(5, 10.1), np.arange(5.0)
    assert math.isnan(ranking.spearman(flat, other))
    assert math.isnan(ranking.spearman(other, flat))


def test_a_resample_of_one_network_has_no_correlation_and_the_others_keep_theirs():
    first, second = np.arange(4.0), np.arange(4.0)[::-1]
    counts = np.array([[0, 4, 0, 0], [1, 1, 1, 1]])
    values = ranking.spearman_resampled(first, second, counts=counts)
    assert math.isnan(values[0]) and values[1] == -1


def test_the_top_fifth_takes_in_its_ties():
    truth = np.array([90, 80, 80, 70, 60, 50, 40, 30, 20, 10.0])
    assert ranking.top(truth).nonzero()[0].tolist() == [0, 1, 2]
    assert ranking.top(np.array([3.0, 2.0, 1.0])).tolist() == [True, True, False]


def test_a_failed_trial_is_never_chosen_and_an_unknown_truth_counts_in_no_mean():
    proxy, truth = [None, 40.0, 30.0, 20.0], [99.0, 80.0, 70.0, None]
    choice = ranking.choose(proxy, truth, parameters=[1, 1, 1, 1])
    assert (choice.chosen, choice.top1, choice.top5) == (1, 80.0, 75.0)
    assert (choice.best, choice.regret) == (99.0, 19.0)


def test_the_first_five_stand_for_a_proxy_and_no_more():
    truth = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    choice = ranking.choose([6, 5, 4, 3, 2, 1], truth, parameters=[1] * 6)
    assert (choice.top1, choice.top5, choice.regret) == (10.0, 30.0, 50.0)


def test_of_equal_networks_the_smaller_is_chosen():
    choice = ranking.choose([50.0, 50.0, 40.0], [60.0, 70.0, 80.0], parameters=[100, 10, 1])
    assert choice.chosen == 1 and choice.regret == 10.0


def test_what_is_not_known_of_a_choice_is_none():
    nothing = ranking.choose([None, None], [None, None], parameters=[1, 1])
    assert nothing == ranking.Choice(None, None, None, None, None)
    choice = ranking.choose([5.0, 4.0], [None, 70.0], parameters=[1, 1])
    assert choice == ranking.Choice(0, None, 70.0, 70.0, None)


def test_growth_has_a_point_a_look_and_leaves_out_broken_trials():
    looks = [[(2, 10.0), (4, 30.0)], [(2, 20.0), (4, 20.0)], [(2, 30.0), (4, 10.0)], [(2, 99.0)]]
    assert ranking.growth(looks, [3.0, 2.0, 1.0, 9.0]) == [(2, -1.0), (4, 1.0)]
    assert ranking.growth(looks, [3.0, None, 1.0, 9.0]) == [(2, -1.0), (4, 1.0)]
    assert ranking.growth([[], []], [1.0, 2.0]) == []


def test_the_share_of_an_axis_against_hand_computed_cases():
    """Ranks 1 to 4 less 2.5, of squares 5: between halves 4, neighbours 1, three and one 3."""
    values, once = np.array([10.0, 20.0, 30.0, 400.0]), np.ones((1, 4))
    levels = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    shares = ranking.explained(values, levels, counts=once)
    assert shares[0] == pytest.approx([4 / 5, 1 / 5, 3 / 5, 0])
    alone = ranking.explained_values(np.array([1.0, 1.0, 1.0, 5.0]), levels, counts=once)
    assert alone[0] == pytest.approx([4 / 12, 4 / 12, 1, 0])
    turned = ranking.lost(-values, values, levels, counts=once)
    assert turned[0] == pytest.approx([2 * 4 / 5, 2 * 1 / 5, 2 * 3 / 5, 0])
    assert ranking.lost(values, values**3, levels, counts=once)[0] == pytest.approx([0] * 4)
    assert np.isnan(ranking.explained(np.ones(4), levels, counts=once)).all()


def test_the_share_in_a_resample_is_that_of_the_networks_drawn():
    values, counts = np.array([3.0, 1.0, 2.0, 7.0]), np.array([[2.0, 0.0, 1.0, 2.0]])
    drawn, levels = [0, 0, 2, 3, 3], np.array([[0, 0, 1, 1]])
    whole = ranking.explained(values[drawn], levels[:, drawn], counts=np.ones((1, 5)))
    assert ranking.explained(values, levels, counts=counts) == pytest.approx(whole)
