"""PathMNIST of MedMNIST: 89,996 and 7,180 pieces of tissue of the colon, in colour."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_pathmnist")
load = _medmnist.load
