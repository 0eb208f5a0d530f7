"""Whatever is no longer finite stops the run, and says at which step and with which settings."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
import torch

from benchmarks.classification import __main__ as classification
from distill import learn, plan
from distill.networks import build, parse
from distill.plan import Plan
from distill.runtime.compute import CPU
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.training import recipes, train
from distill.training.recipes import Recipe
from downstream.continual.protocol import Protocol
from downstream.continual.run import run_order
from downstream.nas import proxy, trial

NETWORK = "convnet-d2-w8-instance-relu-avg"


def fresh(count=1):
    return [
        build(parse(NETWORK), (1, 8, 8), classes=10, generator=generator(0, k))
        for k in range(count)
    ]


def sample(digits):
    images = digits.train.images[::20]
    return digits.train.normalisation(images), digits.train.labels[::20]


@pytest.mark.parametrize("count", [1, 3])
def test_a_training_that_diverges_names_its_step_its_network_and_its_rate(digits, count):
    recipe = Recipe(epochs=6, batch=40, rate=1e30, operations=())
    images, labels = sample(digits)
    assert recipe.batches(len(images)) == 2
    steps = train.training(
        fresh(count), images, labels, recipe=recipe, generators=train.streams(0, count)
    )
    first = next(done for done, loss in steps if not loss.isfinite())
    assert first > 1
    with pytest.raises(Mistake) as refusal:
        train.fit(fresh(count), images, labels, recipe=recipe, seed=0)
    said = str(refusal.value)
    assert re.search(f"{NETWORK} diverged: its loss is (nan|inf) at step {first} ", said)
    assert f"epoch {(first + 1) // 2} of 6, rate 1e+30" in said and "\n" not in said


def test_a_training_whose_last_step_goes_wrong_has_no_accuracy(digits):
    """The loss is taken before the step, and is finite still."""
    recipe = Recipe(epochs=1, batch=1000, rate=1e38, operations=())
    images, labels = sample(digits)
    networks = fresh(2)
    train.fit(networks[:1], images, labels, recipe=recipe, seed=0)
    with pytest.raises(Mistake, match=f"{NETWORK} gives no finite numbers"):
        train.accuracy(networks, images, labels)
    assert train.accuracy(networks[1:], images, labels).isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_the_first_loss_that_is_not_finite_is_named(bad, place):
    losses = [torch.tensor(1.0 if k < place else bad) for k in range(5)]
    recipe = Recipe(rate=0.5)
    with pytest.raises(train.Diverged, match=f"is {bad} at step {10 + place + 1} .*rate 0.05"):
        train.require_finite(losses, recipe, NETWORK, done=15, epoch=900)
    train.require_finite(losses[:place] or [torch.tensor(0.0)], recipe, NETWORK, done=5, epoch=0)


@pytest.mark.parametrize("strategy", ["retrain", "replay"])
def test_continual_learning_that_diverges_stops(digits, strategy):
    protocol = Protocol(
        steps=2,
        strategy=strategy,
        network=NETWORK,
        networks=2,
        recipe=Recipe(epochs=5, rate=1e30, operations=()),
        seed=0,
        orders=1,
        sets=1,
    )
    asked = Plan.of("random", digits.train.about, ipc=1)
    with pytest.raises(Mistake, match=f"{NETWORK} diverged: its loss .* at step [0-9]+ .*1e.30"):
        run_order(
            digits,
            lambda real: plan.distill(asked, real),
            ipc=1,
            protocol=protocol,
            order=0,
        )


def test_a_command_whose_training_diverges_says_so_and_writes_no_record(
    fails, tmp_path, monkeypatch
):
    named = recipes.named

    def wild(name, about):
        return dataclasses.replace(named(name, about), rate=1e30)

    monkeypatch.setattr(recipes, "named", wild)
    args = ["--method", "random", "--network", NETWORK, "--sets", "1", "--networks", "1"]
    args += ["--epochs", "9", "--workers", "1", "--out", str(tmp_path)]
    error = fails_last(fails, args)
    assert "diverged" in error and "rate 1e+30" in error
    assert list((tmp_path / "records").iterdir()) == []


def fails_last(fails, args):
    """The last line of a command that says more before."""
    try:
        return fails(classification.main, args)
    except AssertionError as error:
        return str(error)


def test_a_trial_whose_last_step_goes_wrong_has_diverged(digits):
    recipe = Recipe(epochs=1, batch=len(digits.train), rate=1e38, operations=())
    settings = proxy.whole_settings(
        digits, dataset="digits", image_size=None, root=Path("nowhere"), recipe=recipe, compute=CPU
    )
    outcome = trial.evaluate(fresh()[0], trial.job(settings, digits, None))
    assert outcome["status"] == "diverged" and outcome["accuracy"] is None
    assert "no finite numbers" in outcome["reason"]


class Away:
    """Moves all images far away at each step, by less than float32 holds."""

    window = 1

    def prepare(self, progress):
        pass

    def step(self, images, number):
        return learn.Step(1.0, torch.full_like(images, -3e37), {})


def test_images_whose_average_is_not_finite_are_refused(digits):
    config = learn.Config(iterations=10, rate=1.0, momentum=0.0, averaged=0.9)
    with pytest.raises(Mistake, match="at step 10 of 10 .*lower --method.rate than 1.0"):
        learn.learn(
            Away(),
            digits.train.only([3]),
            1,
            config=config,
            seed=0,
            device=CPU.device,
            progress=Progress(),
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("epochs", bad) for bad in (-1, 10**12)),
        *(("rate", bad) for bad in (0, -1, math.nan, math.inf)),
        *(("momentum", bad) for bad in (1, 2, -0.1, math.nan)),
        *(("weight_decay", bad) for bad in (-1e-3, math.nan, math.inf)),
        *(("batch", bad) for bad in (0, -5)),
        *(("drop", bad) for bad in (-1, math.nan)),
        *(("cutmix", bad) for bad in (-0.1, 1.5, math.nan)),
        ("operations", ("flip", "flop")),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(name, value):
    says = "did you mean flip" if name == "operations" else f"a recipe's {name.split('_')[0]}.* of"
    with pytest.raises(Mistake, match=says):
        Recipe(**{name: value})
