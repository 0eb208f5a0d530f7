"""The figures of continual learning, worked out by hand."""

from downstream.continual import metrics

MATRIX = [[90.0, None, None], [60.0, 80.0, None], [70.0, 50.0, 100.0]]
SIZES = [10, 10, 20]


def test_the_figures_of_a_matrix_by_hand():
    seen = [metrics.seen_accuracy(MATRIX, SIZES, step) for step in range(3)]
    assert seen == [90.0, 70.0, 80.0]
    assert metrics.final_accuracy(MATRIX, SIZES) == 80.0
    assert metrics.average_incremental_accuracy(MATRIX, SIZES) == 80.0
    assert metrics.forgetting(MATRIX) == (20.0 + 30.0) / 2
    assert metrics.backward_transfer(MATRIX) == (-20.0 + -30.0) / 2


def test_forgetting_takes_the_best_and_transfer_the_first():
    rising = [[50.0, None, None], [80.0, 50.0, None], [60.0, 50.0, 50.0]]
    assert metrics.forgetting(rising) == (20.0 + 0.0) / 2
    assert metrics.backward_transfer(rising) == (10.0 + 0.0) / 2


def test_one_step_has_neither():
    assert metrics.seen_accuracy([[50.0]], [10], 0) == 50.0
    assert metrics.forgetting([[50.0]]) is None and metrics.backward_transfer([[50.0]]) is None
