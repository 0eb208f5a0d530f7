"""DermaMNIST of MedMNIST: 7,007 and 2,005 photographs of pigmented skin, in colour."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_dermamnist")
load = _medmnist.load
