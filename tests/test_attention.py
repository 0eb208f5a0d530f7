"""The paper's attention maps, written out sum by sum."""

import pytest
import torch

from distill.objectives.attention import attention, uniformity
from distill.runtime.seeding import generator


@pytest.mark.parametrize("power", [1, 2, 4, 0.5])
def test_it_is_the_papers_map(power):
    features = torch.randn(2, 3, 4, 5, generator=generator(0))
    maps = attention(features, power=power)
    for b in range(2):
        plain = torch.tensor(
            [
                sum(abs(features[b, c, y, x].item()) ** power for c in range(3))
                for y in range(4)
                for x in range(5)
            ]
        )
        assert torch.allclose(maps[b], plain / plain.square().sum().sqrt(), atol=1e-5)


def test_the_gradient_of_the_fourth_power_is_that_of_the_formula():
    features = torch.randn(2, 3, 4, 4, generator=generator(0), dtype=torch.float64)
    weights = torch.randn(2, 16, generator=generator(1), dtype=torch.float64)
    features.requires_grad_()
    plain = torch.nn.functional.normalize((features**4).sum(1).flatten(1), dim=1)
    gradients = [
        torch.autograd.grad((maps * weights).sum(), features)[0]
        for maps in (attention(features, power=4), plain)
    ]
    assert torch.allclose(*gradients) and gradients[0].abs().max() > 0


def test_only_where_a_network_looks_counts():
    features = torch.rand(1, 8, 6, 6, generator=generator(0))
    assert torch.allclose(attention(features), attention(features * 7), atol=1e-6)


def test_no_features_give_no_attention_and_no_nan():
    assert attention(torch.zeros(1, 2, 3, 3)).abs().max() == 0


def test_uniformity_is_1_for_a_constant_map_and_least_for_one_pixel():
    constant = attention(torch.ones(1, 4, 3, 3))
    spot = torch.zeros(1, 1, 3, 3)
    spot[0, 0, 1, 2] = 5
    assert uniformity(constant).item() == pytest.approx(1)
    assert uniformity(attention(spot)).item() == pytest.approx(1 / 3)
