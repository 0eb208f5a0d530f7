"""What every file in distill/methods must keep."""

import dataclasses

import pytest
import torch

from distill import registry
from distill.methods import herding
from distill.runtime.mistake import Mistake

METHODS = registry.names("methods")


def test_the_folder_is_the_registry():
    assert METHODS == ["datadam", "dm", "herding", "random"]
    with pytest.raises(Mistake, match="unknown method 'hearding'.*did you mean herding"):
        registry.load("methods", "hearding")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_file_holds_what_the_contract_says(name):
    module = registry.load("methods", name)
    assert isinstance(module.REDRAWN, bool) and module.__doc__
    for preset in ("laptop", "paper"):
        config = module.preset("cifar10", 10, preset)
        assert isinstance(config, module.Config)
        assert config.couples_classes is False
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.anything = 1
    with pytest.raises(Mistake, match="unknown preset 'labtop'.*did you mean laptop"):
        module.preset("cifar10", 10, "labtop")


@pytest.mark.parametrize("name", METHODS)
def test_a_set_has_ipc_images_of_every_class_present(name, digits, distil):
    made = distil(name, digits.train.only([2, 5]), 3)
    assert made.images.shape == (6, 1, 8, 8) and made.images.isfinite().all()
    assert made.labels.tolist() == [2] * 3 + [5] * 3
    assert made.classes == digits.train.classes and made.made["method"] == name


@pytest.mark.parametrize("name", METHODS)
def test_a_class_does_not_depend_on_the_others(name, digits, distil):
    pair, alone = (distil(name, digits.train.only(c), 2) for c in ([2, 5], [5]))
    assert torch.allclose(pair.images[2:], alone.images, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_ipc_must_fit_the_classes(name, digits, distil):
    with pytest.raises(Mistake, match="--ipc takes 1 or more"):
        distil(name, digits.train, 0)
    with pytest.raises(Mistake, match="--ipc 500 is more than the 116 images of class '8'"):
        distil(name, digits.train, 500)


@pytest.mark.parametrize("name", ["random", "herding"])
def test_a_smaller_selection_is_a_prefix_of_a_larger_one(name, digits, distil):
    small, large = distil(name, digits.train, 3), distil(name, digits.train, 7)
    for label in range(10):
        parts = [s.images[s.labels == label] for s in (small, large)]
        assert torch.equal(parts[0], parts[1][:3])
        assert len(torch.unique(parts[1].flatten(1), dim=0)) == 7


def test_random_follows_its_seed(digits, distil):
    one, same, other = (distil("random", digits.train, 2, seed=s) for s in (0, 0, 1))
    assert torch.equal(one.images, same.images) and not torch.equal(one.images, other.images)


def test_herding_is_icarls_greedy_order():
    features = torch.nn.functional.normalize(
        torch.randn(30, 6, generator=torch.Generator().manual_seed(0)), dim=1
    )
    mean, chosen = features.mean(0), []
    for k in range(1, 11):
        distances = [
            float("inf")
            if i in chosen
            else float((mean - (features[chosen].sum(0) + features[i]) / k).norm())
            for i in range(30)
        ]
        chosen.append(distances.index(min(distances)))
    assert herding._order(features, 10) == chosen
    assert len(set(chosen)) == 10
