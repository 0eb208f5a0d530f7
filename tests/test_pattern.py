"""Patterns of networks, and sets learned in networks drawn from one."""

import collections
import functools

import pytest
import torch

from benchmarks.nas.__main__ import main as nas
from benchmarks.nas.__main__ import spelled
from benchmarks.record import read
from distill import datasets, networks, pattern
from distill.methods import datadam, dm
from distill.objectives import matching
from distill.objectives.matching import Matching
from distill.plan import KIND, Plan, pieces_of
from distill.runtime import identity
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator
from downstream.nas import space

MIXED = "convnet-d{1,2,3}-w{8,16}-{instance,nonorm,layer}"
"""A family of eighteen in which no network couples images."""


def names(name):
    return [str(spec) for spec in pattern.parse(name).members]


@pytest.mark.parametrize("given, name, count", [
    ("convnet-w64", "convnet-d3-w64-instance-relu-avg", 1),
    ("convnet-w{8,8}", "convnet-d3-w8-instance-relu-avg", 1),
    ("convnet-{batch,instance}-w{128,16}", "convnet-d3-w{16,128}-{batch,instance}-relu-avg", 4),
    ("resnet{18,10}", "resnet{10,18}-instance", 2),
    ("vit-d{2,10,4}-w64", "vit-d{2,4,10}-w64-h4", 3),
    ("{resnet10,convnet-w8}", "{convnet-d3-w8-instance-relu-avg,resnet10-instance}", 2),
    ("convnet-{d1,d2-w8}",
     "{convnet-d1-w128-instance-relu-avg,convnet-d2-w8-instance-relu-avg}", 2),
], ids=str)  # fmt: skip
def test_the_same_networks_have_one_name_however_they_are_spelled(given, name, count):
    own = pattern.parse(given)
    assert (own.name, len(own.members)) == (name, count)
    assert pattern.parse(own.name) == own


@pytest.mark.parametrize("name, message", [
    ("convnet-d{2,3", "braces do not match"),
    ("convnet-d2,3}", "braces do not match"),
    ("convnet-{d{2,3}-w8,d1}", "not one within another"),
    ("convnet-d{2,}", "an empty alternative"),
    ("convnet-{}", "an empty alternative"),
    ("convnet-d{2,3}-{none,batch}", "'convnet-d2-none' 'none'.*did you mean nonorm"),
    ("convnet-w{16,18}-group", "'convnet-w18-group': group norm has 4 groups"),
    ("-".join(["convnet", *["{d1,d2,d3,d4,d5,d6,d7,d8,d9,d10}"] * 5]), "100000 networks; give at"),
], ids=str)  # fmt: skip
def test_what_is_no_pattern_is_refused(name, message):
    with pytest.raises(Mistake, match=message):
        dm.Config(network=name)


def test_every_network_is_drawn_and_all_alike_often():
    own = pattern.parse(MIXED)
    counts = collections.Counter(own.draw(0, number) for number in range(1800))
    assert set(counts) == set(own.members)
    assert min(counts.values()) > 60 and max(counts.values()) < 140  # of 100, four deviations


def test_a_draw_goes_by_the_seed_and_the_number_alone():
    own, again = (
        pattern.parse(MIXED),
        pattern.parse("convnet-{nonorm,layer,instance}-d{3,2,1}-w{16,8}"),
    )
    draws = [own.draw(3, number) for number in range(20)]
    assert [again.draw(3, number) for number in reversed(range(20))] == draws[::-1]
    assert [own.draw(4, number) for number in range(20)] != draws


@pytest.mark.parametrize("method", ["dm", "datadam"])
def test_a_pattern_of_one_is_the_plain_name_to_the_last_bit(digits, make, method):
    plain = make(method, digits.train, 2, network="convnet-d2-w8-layer")
    braced = make(method, digits.train, 2, network="convnet-d{2}-{layer}-w{8,8}")
    assert torch.equal(plain.images, braced.images) and plain.made.config == braced.made.config


def test_the_networks_of_a_pattern_are_part_of_the_key_and_their_spelling_is_not(digits):
    def key(network):
        plan = Plan.of("datadam", digits.train.about, ipc=1, network=network)
        return identity.key(KIND, plan.identity(digits.train))

    assert key("convnet-w{8,16}-d2") == key("convnet-d2-w{16,8}")
    assert len({key("convnet-w{8,16}"), key("convnet-w{8,32}"), key("convnet-w8")}) == 3


@pytest.mark.parametrize("bought", [0, 4])
@pytest.mark.parametrize("name", [MIXED, "convnet-d{1,2}-w8-{batch,instance}"])
def test_a_step_is_that_of_the_network_that_is_drawn_for_it(digits, name, bought):
    """DataDAM's: so its attention terms are those of as many layers as that network has."""
    real, images = digits.train, torch.randn(10, 2, 1, 8, 8, generator=generator(0))

    def step(network, number):
        config = datadam.Config(network=network, networks=bought, real_batch=20)
        statistic = functools.partial(datadam.statistic, config=config)
        objective = Matching(statistic, real, 2, config=config, seed=0, compute=CPU)
        for k in range(bought):
            objective.bought[k] = objective.target(k)
        return objective.step(images, number)

    own = pattern.parse(name)
    drawn = [own.draw(0, number) for number in range(4)]
    assert len(set(drawn)) > 1
    for number, spec in enumerate(drawn):
        alone, among = step(str(spec), number), step(name, number)
        assert among.loss == alone.loss and torch.equal(among.gradient, alone.gradient)
        assert len(among.maps) == spec.depth - 1


@pytest.mark.parametrize("bought", [0, 5])
def test_a_class_is_the_same_alone_and_with_others_in_a_pattern(digits, make, bought):
    settings = {"network": MIXED, "networks": bought}
    whole = make("datadam", digits.train, 2, **settings)
    alone = make("datadam", digits.train.only([7]), 2, **settings)
    assert torch.equal(whole.only([7]).images, alone.images)
    assert torch.equal(whole.images, make("datadam", digits.train, 2, **settings).images)
    assert not torch.equal(
        whole.images, make("datadam", digits.train, 2, seed=1, **settings).images
    )


def test_one_network_with_batch_norm_couples_the_classes_of_all(digits):
    plans = [
        Plan.of("dm", digits.train.about, ipc=1, network=name)
        for name in (MIXED, "convnet-d2-w8-{batch,instance,layer,nonorm}")
    ]
    assert [plan.config.couples_classes for plan in plans] == [False, True]
    assert [len(pieces_of(plan, digits.train, CPU)) for plan in plans] == [10, 1]


@pytest.mark.parametrize("kept", [0, 2**13])
def test_networks_that_are_not_kept_are_made_again_alike(digits, make, monkeypatch, kept):
    few = digits.train.only([1, 4])
    settings = {"network": MIXED, "networks": 5, "iterations": 10}
    usual = make("datadam", few, 1, **settings)
    monkeypatch.setattr(matching, "KEPT", kept)
    assert torch.equal(make("datadam", few, 1, **settings).images, usual.images)


def test_networks_of_a_pattern_are_not_compiled_one_by_one(digits, make, monkeypatch):
    few, always = digits.train.only([1]), Compute(compile="always")
    usual = make("dm", few, 1, network=MIXED)
    monkeypatch.setattr(torch, "compile", None)
    assert torch.equal(make("dm", few, 1, network=MIXED, compute=always).images, usual.images)


def test_a_network_that_sees_nothing_of_so_small_images_is_refused_by_name(digits, make):
    with pytest.raises(Mistake, match="'convnet-d4-w8-instance-relu-avg' sees nothing of 8x8"):
        make("dm", digits.train, 1, network="convnet-d{3,4}-w8-{layer,instance}")
    make("dm", digits.train.only([0]), 1, network="convnet-d{3,4}-w8-instance-nopool")
    pattern.parse("convnet-d{3,4}-w8").require((1, 16, 16))


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 11, 11), (3, 16, 16)])
def test_a_network_that_is_called_blind_gives_all_images_one_embedding_and_no_other_does(shape):
    for name in ("convnet-w8", "resnet10", "vgg11", "alexnet", "vit-w32"):
        for spec in {
            networks.parse(name),
            *pattern.parse("convnet-d{3,4,5}-w8-{instance,layer}").members,
        }:
            network = networks.build(spec, shape, classes=2, generator=generator(0))
            _, rows = network.layers(torch.rand(4, *shape, generator=generator(1)))
            same = torch.allclose(rows, rows[:1].expand_as(rows), atol=1e-3)  # but for rounding
            assert same == pattern.blind(spec, shape), str(spec)


def test_the_pattern_of_a_space_is_all_of_it_but_depths_at_which_some_see_nothing():
    assert set(pattern.parse(space.pattern("paper", (3, 32, 32))).members) == set(
        space.every("paper")
    )
    small = pattern.parse(space.pattern("laptop", (1, 8, 8)))
    assert set(small.members) == {spec for spec in space.every("laptop") if spec.depth < 4}
    assert len(small.name) < 120
    small.require((1, 8, 8))


def test_the_word_space_stands_for_the_pattern_in_either_spelling():
    flag = "--method.network"
    assert spelled([flag, "space", "--method.rate", "1"], "x{1,2}") == [
        flag, "x{1,2}", "--method.rate", "1",
    ]  # fmt: skip
    assert spelled([f"{flag}=space", "--method.start", "space"], "x{1,2}") == [
        f"{flag}=x{{1,2}}", "--method.start", "space",
    ]  # fmt: skip
    assert spelled([flag, "convnet"], "x{1,2}") == [flag, "convnet"]


def test_a_search_on_a_set_learned_in_the_networks_of_its_space(tmp_path, capsys, fails):
    small = ["--ipc", "1", "--networks", "3", "--epochs", "2", "--out", str(tmp_path)]
    quick = ["--method.iterations", "4", "--method.networks", "4"]
    nas(["--method.network", "space", *quick, *small])
    (record,) = read([tmp_path / "records"])
    about = datasets.about("digits")
    assert record.cell.making.config["network"] == space.pattern("laptop", about.shape)
    assert record.label == "datadam iterations=4 network=space networks=4"
    assert len(record.results.scores) == 3 and record.results.failed == {}
    capsys.readouterr()
    error = fails(nas, ["--method", "herding", "--method.network", "space", *small])
    assert "unknown network 'space'" in error
