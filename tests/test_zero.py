"""The zero-cost scores against slow plain ones, and what they must not depend on."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from distill import datasets
from distill.networks import build, parse
from distill.runtime.compute import CPU
from distill.runtime.ledger import Ledger
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from downstream.nas import zero
from downstream.nas.space import ConvNets

IMAGES = torch.randn(6, 1, 4, 4, generator=generator(0, "test"))
LAPTOP = ConvNets("laptop", (1, 8, 8), 10)


def network(name, shape=(1, 4, 4), seed=0):
    return build(parse(name), shape, classes=3, generator=generator(seed))


def flow(network, images=IMAGES):
    """R of the network as it is, with the absolute of all its parameters."""
    network = network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
        return network(torch.ones(1, *images.shape[1:], dtype=torch.float64)).sum().item()


@pytest.mark.parametrize("name", ["convnet-d2-w4-nonorm-relu-avg", "convnet-d1-w4-nonorm-max"])
def test_synflow_is_what_the_flow_loses_by_each_weight_alone(name):
    """All values are positive, so that the flow is linear in each weight: a derivative exactly."""
    plain, whole = network(name), flow(network(name))
    lost = 0.0
    for parameter in plain.parameters():
        for place in range(parameter.numel() if parameter.ndim > 1 else 0):
            value = parameter.data.view(-1)[place].clone()
            parameter.data.view(-1)[place] = 0
            lost += whole - flow(plain)
            parameter.data.view(-1)[place] = value
    assert zero.synflow(network(name), IMAGES) == pytest.approx(lost, rel=1e-9)


def test_synflow_of_a_network_without_biases_is_its_flow_times_its_layers():
    plain = network("convnet-d3-w4-nonorm-leakyrelu")
    for name, parameter in plain.named_parameters():
        parameter.data.mul_(not name.endswith("bias"))
    whole = flow(plain)
    assert zero.synflow(plain, IMAGES) == pytest.approx(4 * whole, rel=1e-9)


def test_synflow_knows_no_signs_no_images_and_no_norms():
    score = zero.synflow(network("convnet-d2-w4-nonorm"), IMAGES)
    turned = network("convnet-d2-w4-nonorm")
    for parameter in turned.parameters():
        parameter.data.neg_()
    assert zero.synflow(turned, 7 * IMAGES) == score
    for norm in ("batch", "layer", "instance", "group"):  # the draws of the weights are the same
        assert zero.synflow(network(f"convnet-d2-w4-{norm}"), IMAGES) == score
    assert zero.synflow(network("convnet-d2-w4-nonorm", seed=1), IMAGES) != score


def test_synflow_does_not_overflow_where_float32_would():
    deep = network("convnet-d4-w4-nonorm")
    for parameter in deep.parameters():
        parameter.data.mul_(1e10)
    score = zero.synflow(deep, IMAGES)
    assert math.isfinite(score) and score > torch.finfo(torch.float32).max


def plainly(network, images):
    """Mellor's score, image by image, of a network that sees each alone."""
    network = network.double().train()
    rows = []
    for image in images.double():
        one = image[None].clone().requires_grad_()
        network(one).sum().backward()
        rows.append(one.grad.flatten().numpy())
    values = np.linalg.eigvals(np.corrcoef(np.array(rows))).real
    return -np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5))


@pytest.mark.parametrize("name", ["convnet-d2-w4-nonorm", "convnet-d2-w4-layer-sigmoid-nopool"])
def test_jacob_cov_against_the_equation_image_by_image(name):
    score = zero.jacob_cov(network(name), IMAGES)
    assert score == pytest.approx(plainly(network(name), IMAGES), rel=1e-6)


def test_jacob_cov_knows_neither_the_order_of_images_nor_the_scale_of_the_logits():
    name = "convnet-d2-w4-batch"
    score = zero.jacob_cov(network(name), IMAGES)
    assert zero.jacob_cov(network(name), IMAGES.flip(0)) == pytest.approx(score, rel=1e-9)
    scaled = network(name)
    scaled.head.weight.data.mul_(3)
    assert zero.jacob_cov(scaled, IMAGES) == pytest.approx(score, rel=1e-6)


def test_jacobians_that_are_alike_score_lowest_and_none_at_all_no_number():
    alike = IMAGES[:1].expand(6, -1, -1, -1)
    lowest = zero.jacob_cov(network("convnet-d2-w4-nonorm"), alike)
    assert lowest == pytest.approx(-5 * (math.log(1e-5) + 1e5) - math.log(6) - 1 / 6, rel=1e-3)
    assert zero.jacob_cov(network("convnet-d2-w4-nonorm"), IMAGES) > lowest
    empty = network("convnet-d2-w4-nonorm")
    empty.head.weight.data.zero_()
    assert math.isnan(zero.jacob_cov(empty, IMAGES))
    for width in (4, 8, 16):  # an instance norm of single pixels: all that is left is rounding
        assert math.isnan(
            zero.jacob_cov(network(f"convnet-d3-w{width}-instance-leakyrelu"), IMAGES)
        )


# ------------------------------------------------------------------ of many networks


@pytest.fixture(scope="module")
def real():
    return datasets.load("digits").train


def scored(real, proxy="jacob_cov", seed=0):
    images = zero.batch(real, seed=seed, device=torch.device("cpu"))
    return zero.Scored(proxy, images, seed, CPU)


def test_the_mini_batch_is_of_real_images_and_follows_the_seed(real):
    images = scored(real).images
    assert images.shape == (zero.IMAGES, 1, 8, 8)
    assert torch.equal(images, scored(real).images)
    assert not torch.equal(images, scored(real, seed=1).images)
    known = {tuple(image.flatten().tolist()) for image in real.normalisation(real.images)}
    assert len({tuple(image.flatten().tolist()) for image in images} & known) > 60


def rows(real, folder, specs, *, workers=1, **changes):
    own = scored(real, **changes)
    facts = {"score": own.proxy, "seed": own.seed}
    ledger = Ledger(folder, "digits", facts)
    return zero.scores(own, specs, space=LAPTOP, ledger=ledger, workers=workers)


def timeless(rows):
    return {row["network"]: {**row, "seconds": None} for row in rows}


def test_neither_order_nor_process_matters_and_nothing_is_scored_twice(real, tmp_path, capsys):
    specs = LAPTOP.sample(4)
    first = rows(real, tmp_path / "a", specs)
    assert [row["network"] for row in first] == [str(spec) for spec in specs]
    assert all(math.isfinite(row["accuracy"]) and row["seconds"] > 0 for row in first)
    both = rows(real, tmp_path / "b", specs[::-1], workers=2)
    assert timeless(both) == timeless(first)
    capsys.readouterr()
    assert rows(real, tmp_path / "a", specs) == first
    said = capsys.readouterr().err
    assert "jacob_cov: 0 networks to score, none is trained, 4 are done already" in said
    other = rows(real, tmp_path / "c", specs[:1], seed=1)
    assert other[0]["accuracy"] != first[0]["accuracy"]


def test_a_score_that_is_not_finite_is_a_row_that_says_so(real, tmp_path, monkeypatch):
    monkeypatch.setitem(zero.SCORES, "synflow", lambda network, images: math.inf)
    (row,) = rows(real, tmp_path, LAPTOP.sample(1), proxy="synflow")
    assert (row["status"], row["accuracy"], row["reason"]) == (
        *("diverged", None, "its score is inf"),
    )
    broken = dataclasses.replace(scored(real), proxy="none")
    row = zero.outcome(broken, (LAPTOP, LAPTOP.sample(1)[0]), Progress())
    assert row["status"] == "failed" and row["reason"].startswith("KeyError")
