"""OrganAMNIST of MedMNIST: 34,561 and 17,778 axial sections of organs (CT), grey."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_organamnist")
load = _medmnist.load
