"""PneumoniaMNIST of MedMNIST: 4,708 and 624 X-ray images of children's chests, grey."""

from distill.datasets import _medmnist

ABOUT = _medmnist.about("medmnist_pneumoniamnist")
load = _medmnist.load
