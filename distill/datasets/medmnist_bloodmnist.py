"""BloodMNIST of MedMNIST: 11,959 and 3,421 blood cells under a microscope, in colour."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_bloodmnist")
load = _medmnist.load
