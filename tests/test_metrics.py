import pytest

from downstream import metrics

MATRIX = [[90.0, None, None], [60.0, 80.0, None], [70.0, 50.0, 100.0]]
SIZES = [10, 10, 20]


def test_the_figures_of_a_matrix_by_hand():
    assert metrics.curve(MATRIX, SIZES) == [90.0, 70.0, 80.0]
    assert metrics.final_accuracy(MATRIX, SIZES) == 80.0
    assert metrics.average_incremental_accuracy(MATRIX, SIZES) == 80.0
    assert metrics.forgetting(MATRIX) == (20.0 + 30.0) / 2
    assert metrics.backward_transfer(MATRIX) == (-20.0 + -30.0) / 2


def test_forgetting_takes_the_best_and_transfer_the_first():
    rising = [[50.0, None, None], [80.0, 50.0, None], [60.0, 50.0, 50.0]]
    assert metrics.forgetting(rising) == (20.0 + 0.0) / 2
    assert metrics.backward_transfer(rising) == (10.0 + 0.0) / 2


def test_one_step_has_neither():
    found = metrics.summary([metrics.OrderResult([10], [[[50.0]]])])
    assert found["final"] == 50.0 and found["forgetting"] is None
    assert found["backward_transfer_std"] is None


def test_the_spread_over_orders_is_told_from_that_over_networks():
    def order(*finals):
        return metrics.OrderResult([10], [[[final]] for final in finals])

    found = metrics.summary([order(50.0, 52.0), order(60.0, 62.0)])
    assert found["final"] == 56.0 and found["final_std_orders"] == 5.0
    assert found["final_std_networks"] == 1.0
    assert found["final_std"] == pytest.approx(26**0.5, abs=0.01)
