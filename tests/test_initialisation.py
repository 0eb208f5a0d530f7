"""How the weights of random networks are drawn: each scheme has its moments, and its networks."""

import math

import pytest
import torch

from distill.networks import INITIALISATIONS, NORMAL, build, initialise, parse
from distill.runtime.seeding import generator

SCHEMES = INITIALISATIONS[1:]
SHAPE = (3, 32, 32)


def network(name, scheme, seed=0):
    drawn = build(parse(name), SHAPE, classes=10, generator=generator(1, "another"))
    initialise(drawn, generator=generator(seed, "network"), scheme=scheme)
    return drawn.requires_grad_(False)


def matrices(drawn):
    """The weights of convolutions and linear layers, a row an output; and all biases."""
    layers = [m for m in drawn.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    return [layer.weight.flatten(1) for layer in layers], [layer.bias for layer in layers]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_have_the_moments_of_their_scheme(scheme):
    weights, biases = matrices(network("convnet-d3-w128", scheme))
    for weight, bias in zip(weights, biases, strict=True):
        receptive = 9 if weight.shape[1] in (27, 9 * 128) else 1
        inputs, outputs = weight.shape[1], weight.shape[0] * receptive
        variance = {
            "kaiming": 2 / inputs,
            "xavier": 2 / (inputs + outputs),
            "orthogonal": 1 / max(inputs, weight.shape[0]),
            "normal": NORMAL**2,
        }[scheme]
        slack = 5 / math.sqrt(weight.numel())  # about five standard errors
        assert weight.mean().abs() < slack * math.sqrt(variance)
        assert weight.square().mean().item() == pytest.approx(variance, rel=2 * slack)
        assert not bias.any()
        if scheme == "xavier":
            assert weight.abs().max() <= math.sqrt(3 * variance)


def test_orthogonal_rows_or_columns_are_of_length_1_and_at_right_angles():
    for weight in matrices(network("convnet-d2-w32", "orthogonal"))[0]:
        few = weight if weight.shape[0] <= weight.shape[1] else weight.T
        torch.testing.assert_close(few @ few.T, torch.eye(len(few)), atol=1e-5, rtol=0)


def test_the_usual_scheme_is_the_first_and_draws_as_ever():
    name, usual = "convnet-d2-w8", INITIALISATIONS[0]
    built = build(parse(name), SHAPE, classes=10, generator=generator(0, "network"))
    again = network(name, usual)
    assert all(map(torch.equal, built.parameters(), again.parameters()))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_transformer_and_norms_are_filled_too(scheme):
    one, same, other = (network("vit-d1-w16-h2", scheme, seed) for seed in (0, 0, 1))
    attention = one.encoder.layers[0].self_attention
    assert not attention.in_proj_bias.any() and not attention.out_proj.bias.any()
    assert attention.in_proj_weight.std() > 0 and (one.encoder.ln.weight == 1).all()
    assert all(map(torch.equal, one.parameters(), same.parameters()))
    assert not torch.equal(
        attention.in_proj_weight, other.encoder.layers[0].self_attention.in_proj_weight
    )


def test_images_are_learned_in_networks_of_the_scheme(digits, make):
    images = [make("dm", digits.train, 1, initialisation=s).images for s in INITIALISATIONS]
    assert all(one.isfinite().all() for one in images)
    assert len({tuple(one.flatten().tolist()) for one in images}) == len(images)
