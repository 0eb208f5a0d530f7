"""OrganCMNIST of MedMNIST: 12,975 and 8,216 coronal sections of organs (CT), grey."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_organcmnist")
load = _medmnist.load
