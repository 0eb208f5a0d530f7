"""One trial: train a network on a proxy, measure it."""

import dataclasses
from pathlib import Path

import pytest
import torch

from distill import datasets
from distill.architectures.convnet import Spec
from distill.images import Normalisation
from distill.methods import datadam, random
from distill.networks import FAMILIES, build, parse
from distill.plan import Plan, distill
from distill.runtime import registry
from distill.runtime.compute import CPU
from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator
from distill.training.recipes import Recipe
from downstream.nas import proxy, trial

SPECS = [Spec(1, 8, "none", "relu", "avg"), Spec(2, 8, "batch", "sigmoid", "max")]


@pytest.fixture(scope="module")
def data():
    return datasets.load("digits", root=Path("nowhere"))


@pytest.fixture(scope="module")
def whole(data):
    return proxy.whole_settings(
        data,
        dataset="digits",
        image_size=None,
        root=Path("nowhere"),
        recipe=Recipe(),
        compute=CPU,
    )


@pytest.fixture(scope="module")
def settings(whole):
    recipe = Recipe(epochs=8, batch=64)
    return proxy.proxy_settings(whole, "early-stopping", recipe=recipe, seed=0, images=100)


@pytest.fixture(scope="module")
def formed(data):
    """A set of one stored image a class, which holds four."""
    config = datadam.Config(
        network="convnet-d1-w8", networks=1, real_batch=10, iterations=2, formation=2
    )
    return distill(Plan("datadam", config, 1), data.train)


def test_a_gpu_is_sent_bytes_and_normalises_them_itself(whole, data, monkeypatch):
    """Floats would take four times the memory here and four times the way there."""
    devices, normalised = [], Normalisation.__call__

    def call(self, images):
        devices.append(images.device.type)
        return normalised(self, images)

    monkeypatch.setattr(Normalisation, "__call__", call)
    job = trial.job(dataclasses.replace(whole, device="meta"), data, None)
    assert set(devices) == {"meta"} and job.test.device.type == "meta"


def network(spec, seed=0):
    return build(spec, (1, 8, 8), classes=10, generator=generator(seed))


def test_neither_the_order_of_trials_nor_a_networks_weights_matter(settings, data):
    job = trial.job(settings, data, None)
    once = [trial.evaluate(network(spec), job)["looks"] for spec in SPECS]
    torch.randn(7)
    again = [trial.evaluate(network(spec, 5), job)["looks"] for spec in reversed(SPECS)]
    assert once == again[::-1]
    other = trial.job(dataclasses.replace(settings, seed=1), data, None)
    assert trial.evaluate(network(SPECS[0]), other)["looks"] != once[0]


def test_the_early_stopped_dataset_gets_the_steps_of_a_proxy(settings, data):
    job = trial.job(settings, data, None)
    assert job.steps == 8 * 2 and len(job.images) == len(data.train)
    outcome = trial.evaluate(network(SPECS[0]), job)
    assert [steps for steps, _ in outcome["looks"]] == [1, 2, 4, 8, 16]
    assert outcome["status"] == "trained" and outcome["accuracy"] == outcome["looks"][-1][1]


@pytest.mark.parametrize("family", registry.names(FAMILIES))
def test_a_network_of_any_family_is_tried(family, settings, data):
    short = trial.job(dataclasses.replace(settings, steps=2), data, None)
    short = dataclasses.replace(short, test=short.test[:20], test_labels=short.test_labels[:20])
    outcome = trial.evaluate(network(registry.load(FAMILIES, family).Spec()), short)
    assert outcome["status"] == "trained", outcome["reason"]


def test_a_search_on_a_formed_set_trains_on_the_decoded_images(whole, data, formed, tmp_path):
    settings = proxy.saved(whole, formed, tmp_path)
    images, labels = formed.decoded()
    assert len(formed.images) == 10 and len(images) == 40
    for job in (trial.job(settings, data, formed), trial.load(settings)):
        assert torch.equal(job.images, data.train.normalisation(images))
        assert torch.equal(job.labels, labels)
    recipe = Recipe(epochs=3, batch=10)
    few = trial.job(dataclasses.replace(settings, recipe=recipe), data, formed)
    assert trial.evaluate(network(SPECS[0]), few)["looks"][-1][0] == 3 * 4


def test_a_network_that_diverges_is_a_row_that_says_so(settings, data):
    wild = dataclasses.replace(settings, recipe=dataclasses.replace(settings.recipe, rate=1e30))
    outcome = trial.evaluate(network(SPECS[0]), trial.job(wild, data, None))
    assert outcome["status"] == "diverged" and outcome["accuracy"] is None
    assert "at step" in outcome["reason"]


def test_a_trial_that_breaks_off_is_a_row_that_says_so(settings, data):
    job = trial.job(settings, data, None)
    wrong = dataclasses.replace(job, labels=job.labels + 10)
    outcome = trial.evaluate(network(SPECS[0]), wrong)
    assert outcome["status"] == "failed" and outcome["accuracy"] is None
    assert outcome["reason"].startswith("IndexError")


def ledger(settings, folder):
    return Ledger(folder, "digits", settings.identity()).path


def test_where_things_lie_is_no_part_of_a_trials_identity(settings, tmp_path):
    moved = dataclasses.replace(settings, data_root="/a", set_path="/b", device="cuda", threads=9)
    assert ledger(moved, tmp_path) == ledger(settings, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 3},
        {"steps": 3},
        {"looks": False},
        {"set_digest": "x"},
        {"data_digest": "x"},
        {"about": {"name": "digits", "version": 2, "without": ["flip"]}},
        {"normalisation": Normalisation.fixed(1).describe()},
        {"recipe": Recipe(epochs=8, batch=64, rate=0.1)},
    ],
)
def test_what_a_result_depends_on_is_part_of_a_trials_identity(settings, tmp_path, change):
    assert ledger(dataclasses.replace(settings, **change), tmp_path) != ledger(settings, tmp_path)


def test_a_raised_version_expires_the_trials(settings, tmp_path, monkeypatch):
    before = ledger(settings, tmp_path)
    monkeypatch.setattr(trial, "VERSION", trial.VERSION + 1)
    assert ledger(settings, tmp_path) != before


def test_a_dataset_without_flips_is_trained_without_them(data):
    about = dataclasses.replace(data.train.about, operations=("crop", "colour"))
    for name in ("laptop", "paper"):
        comparison = proxy.preset(name, about)
        assert comparison.truth.operations == comparison.recipe.operations == ("crop", "colour")
    assert "flip" not in proxy.preset("laptop", datasets.about("digits")).recipe.operations
    assert "flip" in proxy.preset("laptop", datasets.about("cifar10")).recipe.operations


def test_settings_travel_as_text(settings):
    without = dataclasses.replace(settings, recipe=Recipe(operations=("crop",)))
    for sent in (settings, without):
        assert trial.TrialSettings.loads(sent.dumps()) == sent


def test_another_process_finds_the_same_images_or_says_so(whole, data, tmp_path):
    chosen = distill(Plan("random", random.Config(), 1), data.train)
    settings = proxy.saved(whole, chosen, tmp_path)
    elsewhere, here = trial.load(settings), trial.job(settings, data, chosen)
    for name in ("images", "labels", "test", "test_labels"):
        assert torch.equal(getattr(elsewhere, name), getattr(here, name))
    with pytest.raises(Mistake, match="images of digits .* are not those of the run"):
        trial.load(dataclasses.replace(settings, data_digest="other"))
    with pytest.raises(Mistake, match="images of digits .* are not those of the run"):
        trial.load(dataclasses.replace(settings, normalisation=Normalisation.fixed(1).describe()))
    with pytest.raises(Mistake, match="images in .* are not those of the run"):
        trial.load(dataclasses.replace(settings, set_digest="other"))


def test_a_deterministic_trial_is_another_where_that_was_asked_for(settings):
    strict = dataclasses.replace(settings, deterministic=True)
    assert strict.compute == dataclasses.replace(settings.compute, deterministic=True)
    assert strict.identity() == settings.identity() | {"deterministic": True}
    assert trial.TrialSettings.loads(strict.dumps()) == strict


def test_a_lower_precision_is_part_of_a_trial_and_takes_effect(settings, data):
    low = dataclasses.replace(settings, precision="bfloat16", steps=3)
    full = dataclasses.replace(low, precision="float32")
    assert full.identity() == dataclasses.replace(settings, steps=3).identity() != low.identity()
    assert trial.TrialSettings.loads(low.dumps()) == low
    network = build(parse("convnet-d1-w4"), (1, 8, 8), classes=10, generator=generator(0))
    weights = []
    for own in (full, low):
        assert trial.evaluate(network, trial.job(own, data, None))["status"] == "trained"
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert not torch.equal(*weights) and torch.allclose(*weights, atol=0.02)
