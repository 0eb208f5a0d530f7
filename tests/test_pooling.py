import pytest
import torch
import torch.nn.functional as F

from distill import pooling
from distill.pooling import AveragePool


@pytest.mark.parametrize("size", [(8, 8), (2, 2), (5, 4), (4, 7), (3, 3)])
def test_it_is_torchs_average_pooling_and_so_is_its_gradient(size, monkeypatch):
    monkeypatch.setattr(pooling, "LARGE", 1)
    x = torch.randn(3, 2, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(F.avg_pool2d(x, 2))
    found = []
    for pool in (AveragePool(), lambda x: F.avg_pool2d(x, 2)):
        y = pool(x)
        (gradient,) = torch.autograd.grad((y * weight).sum(), x)
        found.append((y, gradient))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)
