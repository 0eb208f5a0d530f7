"""One trial: train a network on a proxy, measure it."""

import dataclasses

import pytest
import torch

from distill.mistake import Mistake
from distill.networks import Spec, build
from distill.seeding import generator
from distill.train import Recipe
from downstream import proxy, trial

from conftest import CPU

SPECS = [Spec(1, 8, "none", "relu", "avg"), Spec(2, 8, "batch", "sigmoid", "max")]


@pytest.fixture(scope="module")
def settings(digits):
    return proxy.proxy_settings(
        proxy.whole_settings(
            digits,
            dataset="digits",
            image_size=None,
            root=trial.Path("nowhere"),
            recipe=Recipe(),
            device=CPU,
        ),
        "early-stopping",
        recipe=Recipe(epochs=8, batch=64),
        seed=0,
        images=100,
    )


def network(spec, seed=0):
    return build(spec, (1, 8, 8), classes=10, generator=generator(seed))


def test_neither_the_order_of_trials_nor_a_networks_weights_matter(settings, digits):
    job = trial.job(settings, digits, None)
    once = [trial.evaluate(network(spec), job)["looks"] for spec in SPECS]
    torch.randn(7)
    again = [trial.evaluate(network(spec, 5), job)["looks"] for spec in reversed(SPECS)]
    assert once == again[::-1]
    other = trial.job(dataclasses.replace(settings, seed=1), digits, None)
    assert trial.evaluate(network(SPECS[0]), other)["looks"] != once[0]


def test_the_early_stopped_dataset_gets_the_steps_of_a_proxy(settings, digits):
    job = trial.job(settings, digits, None)
    assert job.steps == 8 * 2 and len(job.images) == len(digits.train)
    found = trial.evaluate(network(SPECS[0]), job)
    assert [steps for steps, _ in found["looks"]] == [1, 2, 4, 8, 16]
    assert found["status"] == "trained" and found["accuracy"] == found["looks"][-1][1]


def test_a_network_that_diverges_is_a_row_that_says_so(settings, digits):
    wild = dataclasses.replace(settings, recipe=dataclasses.replace(settings.recipe, rate=1e30))
    found = trial.evaluate(network(SPECS[0]), trial.job(wild, digits, None))
    assert found["status"] == "diverged" and found["accuracy"] is None
    assert "at step" in found["reason"]


def test_a_trial_that_breaks_off_is_a_row_that_says_so(settings, digits):
    job = trial.job(settings, digits, None)
    wrong = dataclasses.replace(job, labels=job.labels + 10)
    found = trial.evaluate(network(SPECS[0]), wrong)
    assert found["status"] == "failed" and found["accuracy"] is None
    assert found["reason"].startswith("IndexError")


def test_what_a_result_does_not_depend_on_is_not_in_the_key(settings):
    moved = dataclasses.replace(settings, data_root="/a", set_path="/b", device="cuda", threads=9)
    assert moved.key() == settings.key()
    for change in ({"seed": 3}, {"steps": 3}, {"set_digest": "x"}, {"data_digest": "x"}):
        assert dataclasses.replace(settings, **change).key() != settings.key()


def test_settings_travel_as_text(settings):
    assert trial.Settings.loads(settings.dumps()) == settings


def test_another_process_finds_the_same_images_or_says_so(digits, tmp_path, distil):
    real = trial.datasets.load("digits", root=tmp_path).train
    data = trial.Data(real, trial.datasets.load("digits", root=tmp_path).test)
    whole = proxy.whole_settings(
        data, dataset="digits", image_size=None, root=tmp_path, recipe=Recipe(), device=CPU
    )
    made = distil("random", real, 1)
    settings = proxy.saved(whole, made, tmp_path)
    there, here = trial.load(settings), trial.job(settings, data, made)
    for name in ("images", "labels", "test", "test_labels"):
        assert torch.equal(getattr(there, name), getattr(here, name))
    with pytest.raises(Mistake, match="images of digits .* are not those of the run"):
        trial.load(dataclasses.replace(settings, data_digest="other"))
    with pytest.raises(Mistake, match="images in .* are not those of the run"):
        trial.load(dataclasses.replace(settings, set_digest="other"))
