"""RetinaMNIST of MedMNIST: 1,080 and 400 retinas, graded by damage from diabetes, in colour."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_retinamnist")
load = _medmnist.load
