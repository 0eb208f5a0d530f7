"""TissueMNIST of MedMNIST: 165,466 and 47,280 cells of the kidney's cortex, grey."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_tissuemnist")
load = _medmnist.load
