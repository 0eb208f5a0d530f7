import pytest
import torch
import torch.nn.functional as F

from distill.architectures import _pooling
from distill.architectures._pooling import AveragePool
from distill.runtime.seeding import generator


@pytest.mark.parametrize("size", [(8, 8), (2, 2), (5, 4), (4, 7), (3, 3)])
def test_it_is_torchs_average_pooling_and_so_is_its_gradient(size, monkeypatch):
    monkeypatch.setattr(_pooling, "LARGE", 1)
    x = torch.randn(3, 2, *size, dtype=torch.float64, generator=generator(0)).requires_grad_()
    weight = F.avg_pool2d(x, 2).detach().cos()  # of each pixel, another
    results = []
    for pool in (AveragePool(), lambda x: F.avg_pool2d(x, 2)):
        y = pool(x)
        (gradient,) = torch.autograd.grad((y * weight).sum(), x)
        results.append((y, gradient))
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)


def test_its_gradient_has_a_gradient(monkeypatch):
    monkeypatch.setattr(_pooling, "LARGE", 1)
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=generator(0)).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: AveragePool()(x).pow(3), x)
