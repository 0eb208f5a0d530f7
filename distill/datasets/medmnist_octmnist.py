"""OCTMNIST of MedMNIST: 97,477 and 1,000 optical sections of retinas, grey."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_octmnist")
load = _medmnist.load
