"""BreastMNIST of MedMNIST: 546 and 156 ultrasound images of breasts, grey."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_breastmnist")
load = _medmnist.load
