"""Figures of continual learning, all computed from one accuracy matrix.

A matrix has a row a step and a column a step: entry [i][j] is the accuracy (in percent) on the test
images of step j's classes after training step i, where a network can answer any class of the
dataset, those not seen yet too; entries above the diagonal, of classes not seen yet, are None.
`sizes[j]` is the number of test images of step j.
"""

from collections.abc import Sequence
from typing import NamedTuple

Matrix = Sequence[Sequence[float | None]]


def seen_accuracy(matrix: Matrix, sizes: Sequence[int], step: int) -> float:
    """Accuracy on the test images of all classes seen up to `step`, each image counting once."""
    seen = range(step + 1)
    return sum(matrix[step][j] * sizes[j] for j in seen) / sum(sizes[j] for j in seen)


def final_accuracy(matrix: Matrix, sizes: Sequence[int]) -> float:
    """Accuracy on all test images after the last step."""
    return seen_accuracy(matrix, sizes, len(sizes) - 1)


def average_incremental_accuracy(matrix: Matrix, sizes: Sequence[int]) -> float:
    """Mean over the steps of the accuracy on the classes seen so far (Rebuffi et al., 2017)."""
    steps = len(sizes)
    return sum(seen_accuracy(matrix, sizes, i) for i in range(steps)) / steps


def forgetting(matrix: Matrix) -> float | None:
    """Mean over the earlier steps of best minus last accuracy (Chaudhry et al., 2018).

    The best is over all rows but the last. None where there is one step only. Avalanche's own
    metric takes the first accuracy instead of the best: that is minus `backward_transfer`.
    """
    last = len(matrix) - 1
    if last == 0:
        return None
    best = [max(matrix[i][j] for i in range(j, last)) for j in range(last)]
    return sum(best[j] - matrix[last][j] for j in range(last)) / last


def backward_transfer(matrix: Matrix) -> float | None:
    """Mean over the earlier steps of last minus first accuracy (Lopez-Paz and Ranzato, 2017).

    None where there is one step only.
    """
    last = len(matrix) - 1
    if last == 0:
        return None
    return sum(matrix[last][j] - matrix[j][j] for j in range(last)) / last


class OrderResult(NamedTuple):
    """One class order: the test images of each step's classes, and a matrix a network."""

    sizes: list[int]
    matrices: list[Matrix]
