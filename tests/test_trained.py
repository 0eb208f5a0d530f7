"""Matching in trained networks with a cross-entropy: against plain autograd, and as a method."""

import dataclasses
import functools

import pytest
import torch
import torch.nn.functional as F

from benchmarks.continual import __main__ as continual
from benchmarks.record import read
from distill import checkpoints, formation
from distill.methods import datadam, dm, trained
from distill.methods.trained import Config
from distill.objectives.matching import Matching
from distill.plan import KIND, Plan
from distill.runtime import identity
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.runtime.store import Store
from distill.training import pieces

SMALL = Config(
    network="convnet-d2-w8-instance-relu-avg",
    networks=3,
    real_batch=20,
    iterations=7,
    trained=1.0,
    bank=2,
    schedule="linear",
)


def objective(real, config, ipc=2, compute=CPU):
    statistic = functools.partial(trained.statistic, config=config)
    matcher = Matching(statistic, real, ipc, config=config, seed=0, compute=compute)
    matcher.prepare(Progress())
    return matcher


def plain(matcher, images, number, config):
    """Loss and gradient by autograd, class by class, all in one graph."""
    leaf = images.clone().requires_grad_()
    target = matcher.bought[number % config.networks]
    network = matcher.settled(number % config.networks).network
    loss = 0
    for c, label in enumerate(matcher.real.present):
        shown = formation.decode(leaf[c], config.formation)
        embedding = network.layers(shown)[1]
        loss = loss + (embedding.mean(0) - target.means[0][c]).square().sum()
        labels = torch.full((len(shown),), label)
        loss = loss + config.cross_entropy * F.cross_entropy(network(shown), labels)
    return loss.item(), torch.autograd.grad(loss, leaf)[0]


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("at_once", [2**21, 8 * 64 * 9], ids=["at once", "in pieces"])
def test_the_step_is_that_of_plain_autograd(digits, monkeypatch, factor, at_once):
    monkeypatch.setitem(pieces.AT_ONCE, "cpu", at_once)
    real = digits.train.only([1, 4, 7])
    config = dataclasses.replace(SMALL, formation=factor, augmented=False, cross_entropy=0.7)
    matcher = objective(real, config)
    images = torch.randn(3, 2, 1, 8, 8, generator=generator(0))
    for number in (0, 2, 4):
        step = matcher.step(images, number)
        loss, gradient = plain(matcher, images, number, config)
        assert step.loss == pytest.approx(loss, rel=1e-4)
        assert (step.gradient - gradient).norm() < 1e-4 * gradient.norm()


def test_without_a_cross_entropy_it_is_dm_in_trained_networks(digits, make):
    real, settings = digits.train.only([1, 4]), {"trained": 1.0, "bank": 2}
    without = make("trained", real, 2, cross_entropy=0.0, formation=1, schedule="constant")
    assert torch.equal(without.images, make("dm", real, 2, **settings).images)
    weighed = make("trained", real, 2, cross_entropy=5.0, formation=1, schedule="constant")
    assert not torch.equal(without.images, weighed.images)


def test_in_bfloat16_it_is_the_same_within_its_rounding(digits):
    real = digits.train.only([1, 4, 7])
    images = torch.randn(3, 2, 1, 8, 8, generator=generator(0))
    full, low = (
        objective(real, SMALL, compute=Compute(precision=name)).step(images, 0)
        for name in ("float32", "bfloat16")
    )
    assert low.gradient.dtype == torch.float32 and not torch.equal(low.gradient, full.gradient)
    assert (low.gradient - full.gradient).norm() < 0.2 * full.gradient.norm()


def test_the_sides_are_compiled_though_classes_are_coupled(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: seen.append(1) or function)
    matcher = objective(digits.train.only([1, 4]), SMALL, compute=Compute(compile="always"))
    assert len(seen) == 2 + 8  # both sides, and each stretch of the bank
    before = len(seen)
    matcher.step(torch.zeros(2, 2, 1, 8, 8), 0)
    assert len(seen) == before


class Broken(Progress):
    """A run that is killed after so many steps on images."""

    def advance(self, steps=1, note=""):
        super().advance(steps, note)
        if self.stage == "steps" and self.done >= 4:
            raise KeyboardInterrupt


def test_a_set_broken_off_goes_on_to_the_same_last_bit_and_is_one_piece(
    digits, make, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    real, store = digits.train.only([2, 5]), Store(tmp_path)
    settings = {"schedule": "linear", "averaged": 0.5, "formation": 2}
    whole = make("trained", real, 2, **settings)
    with pytest.raises(KeyboardInterrupt):
        make("trained", real, 2, store=store, progress=Broken(), **settings)
    resumed = make("trained", real, 2, store=store, **settings)
    assert torch.equal(resumed.images, whole.images)
    assert len(list(tmp_path.glob("*-ipc2-class2_5-*"))) == 1 == len(list(tmp_path.glob("*ipc2*")))
    assert len(list(tmp_path.glob("*-networks-*"))) == 2


def test_presets_keep_smaller_images_where_they_hold_enough(digits):
    about = digits.train.about
    photographs = dataclasses.replace(about, shape=(3, 32, 32))
    for name in ("laptop", "paper"):
        assert trained.preset(about, 1, name).formation == 1
        assert trained.preset(photographs, 1, name).formation == 2


def test_a_cross_entropy_in_random_networks_is_refused_in_one_line():
    with pytest.raises(Mistake, match="--method.cross-entropy 5 .*give --method.trained above 0"):
        Config(trained=0, networks=3)
    assert Config(trained=0, networks=3, cross_entropy=0).couples_classes is False


GOLDEN = {"dm": "bc32efbf4d", "datadam": "fa7de5b255"}


@pytest.mark.parametrize("method", [dm, datadam])
def test_keys_stay_until_networks_are_trained_and_follow_the_bank(digits, monkeypatch, method):
    real = digits.train.normalised_by(digits.train.about.normalisation)
    name = method.__name__.rpartition(".")[2]

    def key(**changes):
        plan = Plan.of(name, real.about, ipc=1, **changes)
        return identity.key(KIND, plan.identity(real))

    keys = [key(), key(trained=1.0), key(trained=2.0), key(trained=1.0, bank=2)]
    monkeypatch.setattr("distill.objectives.bank.VERSION", 99)
    keys.append(key(trained=1.0))
    assert len(set(keys)) == 5 and key() == keys[0] == GOLDEN[name]


@pytest.mark.parametrize("method", ["trained", "forgetting"])
def test_as_a_buffer_it_sees_the_classes_of_a_step_and_each_order_has_its_set(
    tmp_path, fails, method
):
    args = ["--buffer", method, "--steps", "2", "--network", "convnet-d2-w8"]
    args += ["--method.network", "convnet-d2-w8", "--out", str(tmp_path)]
    few = ["--method.networks", "2", "--method.iterations", "2", "--method.trained", "1"]
    args += few if method == "trained" else ["--method.passes", "2"]
    error = fails(continual.main, [*args, "--orders", "2", "--sets", "1"])
    assert "--sets 1 cannot serve 2 orders" in error and "give --sets 2" in error
    continual.main([*args, "--orders", "2", "--sets", "2", "--epochs", "2"])
    (record,) = read([tmp_path / "records"])
    assert record.cell.making.method == method
    pieces_kept = list((tmp_path / "sets").glob(f"digits-{method}-ipc1-class*"))
    assert len(pieces_kept) == 4  # two steps of two orders
