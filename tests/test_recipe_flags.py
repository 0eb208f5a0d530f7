"""`--recipe` and `--epochs` of continual learning and of architecture search."""

import dataclasses

import pytest

from benchmarks.continual.__main__ import main as continual
from benchmarks.nas.__main__ import main as nas
from benchmarks.record import read
from distill import datasets
from distill.runtime.mistake import Mistake
from distill.training import recipes
from downstream.continual import protocol as protocols
from downstream.nas import proxy

DIGITS = datasets.about("digits")


def recipe_of(strategy="retrain", name="laptop", **given):
    return protocols.preset(name, DIGITS, steps=5, strategy=strategy, seed=0, **given).recipe


@pytest.mark.parametrize("name", ["dm", "idc", "short"])
def test_a_named_recipe_takes_the_presets_place_and_changes_nothing_else(name):
    assert recipe_of(recipe=name) == recipes.named(name, DIGITS)
    paper = {"steps": 5, "strategy": "retrain", "seed": 0}
    usual = protocols.preset("paper", DIGITS, **paper)
    other = protocols.preset("paper", DIGITS, **paper, recipe=name)
    assert dataclasses.replace(other, recipe=usual.recipe) == usual


@pytest.mark.parametrize("strategy", ["retrain", "replay"])
def test_epochs_change_the_epochs_alone(strategy):
    usual = recipe_of(strategy)
    assert recipe_of(strategy, epochs=7) == dataclasses.replace(usual, epochs=7) != usual


def test_epochs_go_before_those_of_a_named_recipe():
    assert recipe_of(recipe="idc", epochs=7).epochs == 7
    assert recipe_of(recipe="idc", epochs=7).cutmix == 0.5


@pytest.mark.parametrize("given, message", [
    ({"recipe": "idk"}, "unknown recipe 'idk'.*mean idc"),
    ({"recipe": "idc", "strategy": "replay"}, "--recipe idc is for --strategy retrain"),
    ({"epochs": 0}, "--epochs 0 is no training; give 1 or more"),
    ({"epochs": -1, "strategy": "replay"}, "--epochs -1 is no training"),
], ids=str)  # fmt: skip
def test_a_recipe_that_cannot_be_is_refused(given, message):
    with pytest.raises(Mistake, match=message):
        recipe_of(**given)


@pytest.mark.parametrize("preset", ["laptop", "paper"])
def test_on_a_proxy_a_named_recipe_leaves_the_ground_truth_as_it_is(preset):
    usual = proxy.preset(preset, DIGITS)
    named = proxy.preset(preset, DIGITS, recipe="idc")
    assert named.recipe == recipes.named("idc", DIGITS) != usual.recipe
    assert dataclasses.replace(named, recipe=usual.recipe) == usual
    fewer = proxy.preset(preset, DIGITS, recipe="idc", epochs=3)
    assert fewer.recipe == dataclasses.replace(named.recipe, epochs=3)


def test_a_continual_record_says_how_its_networks_were_trained(tmp_path, capsys):
    args = ["--buffer", "random", "--steps", "2", "--orders", "1", "--out", str(tmp_path)]
    continual([*args, "--recipe", "idc", "--epochs", "2"])
    (record,) = read([tmp_path / "records"])
    expected = dataclasses.replace(recipes.named("idc", DIGITS), epochs=2)
    assert record.protocol.recipe == expected
    assert "2 epochs, batch 64, rate 0.01, CutMix" in capsys.readouterr().out


def test_the_row_of_a_search_names_a_recipe_that_was_given(tmp_path, capsys):
    small = ["--networks", "3", "--ipc", "1", "--epochs", "2", "--out", str(tmp_path)]
    nas(["--proxy", "random", "--recipe", "idc", *small])
    nas(["--proxy", "random", *small])
    labels = {r.label: r.cell.recipe.cutmix for r in read([tmp_path / "records"])}
    assert labels == {"random recipe=idc": 0.5, "random": 0.0}


@pytest.mark.parametrize("which, message", [
    ("whole", "--recipe is for the other proxies"),
    ("flops", "--recipe is for proxies that are trained on; flops trains nothing"),
])  # fmt: skip
def test_a_proxy_that_is_not_trained_on_otherwise_takes_no_recipe(fails, tmp_path, which, message):
    args = ["--proxy", which, "--recipe", "dm", "--networks", "3", "--out", str(tmp_path)]
    assert message in fails(nas, args)
