"""OrganSMNIST of MedMNIST: 13,932 and 8,827 sagittal sections of organs (CT), grey."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_organsmnist")
load = _medmnist.load
