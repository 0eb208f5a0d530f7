"""The space of ConvNets, on its own and as NNI enumerates it."""

import pytest
import torch
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace

from distill.architectures.convnet import ConvNet, Spec
from distill.networks import FAMILIES, parse, size
from distill.runtime import registry
from distill.runtime.mistake import Mistake
from downstream.nas import source, space
from downstream.nas.engine import Points


@pytest.mark.parametrize("name", ["laptop", "paper"])
def test_nni_enumerates_each_of_the_720_points_once(name):
    points = Points(name, (1, 8, 8), 10)
    assert list(points.parameters()) == []
    grid = SimplifiedModelSpace.from_model(points, FunctionalEvaluator(print)).grid()
    specs = [Spec(**model.sample) for model in grid]
    assert len(specs) == len(set(specs)) == 720
    assert set(specs) == set(space.every(name))


def test_the_axes_are_the_published_ones():
    axes = space.axes("paper")
    assert axes["width"] == (32, 64, 128, 256) and axes["depth"] == (1, 2, 3, 4)
    assert set(axes["activation"]) == {"sigmoid", "relu", "leakyrelu"}
    assert set(axes["norm"]) == {"none", "batch", "layer", "instance", "group"}
    assert set(axes["pooling"]) == {"none", "max", "avg"}
    assert space.axes("laptop") == {**axes, "width": (8, 16, 32, 64)}


def test_a_point_freezes_to_the_plain_network():
    points = Points("laptop", (3, 16, 16), 7)
    sample = {
        "depth": 2, "width": 16, "norm": "group", "activation": "sigmoid", "pooling": "max",
    }  # fmt: skip
    network = points.freeze(sample)
    assert type(network) is ConvNet and network.spec == Spec(2, 16, "group", "sigmoid", "max")
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 7)
    with pytest.raises(ValueError, match="15 not found"):
        points.freeze({**sample, "width": 15})


def test_a_smaller_sample_is_part_of_a_larger_one():
    assert space.sample("laptop", 30) == space.sample("laptop", 720)[:30]
    assert set(space.sample("laptop", 720)) == set(space.every("laptop"))
    assert space.sample("laptop", 20) != space.every("laptop")[:20]


@pytest.mark.parametrize("given", ["721", "1", "0", "-3", "many", "1.5"])
def test_a_number_of_networks_that_cannot_be(given):
    with pytest.raises(Mistake, match=rf"--networks {given}: give a number from 2 to 720"):
        space.count(given, "laptop", 720)


def test_all_networks_and_an_unknown_space():
    assert space.count("all", "laptop", 720) == 720 and space.count("2", "paper", 720) == 2
    with pytest.raises(Mistake, match="'papre'.*did you mean paper.* accepted: .*FILE.py"):
        space.axes("papre")


def test_size_counts_parameters_and_multiply_adds_twice():
    # One convolution of 3x3 from 1 to 8 channels on 8x8, then 8*4*4 features to 10 classes.
    parameters, flops = size(Spec(1, 8, "none", "relu", "avg"), (1, 8, 8), 10)
    assert parameters == (9 * 8 + 8) + (128 * 10 + 10)
    assert flops == 2 * (64 * 9 * 8 + 128 * 10)


def test_size_of_a_network_that_shrinks_an_image_to_one_pixel():
    assert size(Spec(4, 8, "instance", "relu", "avg"), (1, 8, 8), 10)[1] > 0


@pytest.mark.parametrize("family", registry.names(FAMILIES))
def test_a_network_of_any_family_has_a_size(family):
    spec = registry.load(FAMILIES, family).Spec()
    parameters, flops = size(parse(str(spec)), (3, 32, 32), 10)
    wider, dearer = size(spec, (3, 32, 32), 100)  # 90 rows more in the last linear layer
    features = (wider - parameters) / 90 - 1
    assert features == int(features) > 0 and dearer - flops == 2 * 90 * features


def test_a_mistake_of_a_users_space_is_said_once():
    said = "^--space mine.py must hold one class .*search_space.py$"
    own = source.SpaceFile("mine.py", "x = 1")
    with pytest.raises(Mistake, match=said), source.explained(own, "cannot be constructed"):
        source.model_space(own)
