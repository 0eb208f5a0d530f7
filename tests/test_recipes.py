"""The recipes that have a name, and what a recipe is called."""

import dataclasses

import pytest

from distill import datasets, presets
from distill.runtime import identity
from distill.runtime.mistake import Mistake
from distill.training import recipes
from distill.training.recipes import Recipe, called, named


@pytest.fixture
def about():
    return datasets.about("cifar10")


def test_dm_is_what_a_recipe_is_without_a_name(about):
    assert named("dm", about) == Recipe()


def test_idc_mixes_half_the_mini_batches_and_cuts_nothing_out(about):
    """As IDC's released code: batches of 64, CutMix with 0.5 for CIFAR, cutout left out."""
    recipe = named("idc", about)
    assert (recipe.cutmix, recipe.batch, recipe.epochs) == (0.5, 64, 1000)
    assert recipe.operations == tuple(o for o in about.operations if o != "cutout")


def test_short_is_dm_in_fewer_epochs(about):
    short = named("short", about)
    assert short.epochs < 1000 and dataclasses.replace(short, epochs=1000) == Recipe()


@pytest.mark.parametrize("name", presets.RECIPES)
def test_a_named_recipe_keeps_to_what_suits_the_dataset_and_finds_its_name_again(name):
    for dataset in ("digits", "cifar10"):
        about = datasets.about(dataset)
        recipe = named(name, about)
        assert set(recipe.operations) <= set(about.operations)
        without = [o for o in recipes.OPERATIONS if o not in about.operations]
        assert called(recipe, without=without) == name


def test_an_unknown_recipe_is_refused(about):
    with pytest.raises(
        Mistake, match="unknown recipe 'ids'; did you mean idc. accepted: dm, idc, short, dc"
    ):
        named("ids", about)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "dm"),
        ({"epochs": 20}, "dm, 20 epochs"),
        ({"epochs": 1}, "dm, 1 epoch"),
        ({"rate": 0.1, "weight_decay": 0.0}, "dm, rate 0.1, weight decay 0"),
        ({"operations": ()}, "dc, 1000 epochs"),
        ({"operations": (), "rate": 0.1, "epochs": 300}, "dc, rate 0.1"),
        ({"operations": ("crop", "flip")}, "dm, DSA of crop flip"),
        ({"epochs": recipes.SHORT, "batch": 64}, f"dm, {recipes.SHORT} epochs, batch 64"),
    ],
)
def test_another_recipe_is_called_by_what_differs(changes, name):
    assert called(Recipe(**changes)) == name


def test_a_recipe_that_mixes_is_called_after_idc(about):
    assert called(dataclasses.replace(named("idc", about), epochs=20)) == "idc, 20 epochs"
    assert called(Recipe(cutmix=1.0)).startswith("idc, batch 256, DSA of colour")
    assert called(Recipe(cutmix=1.0)).endswith(", cutmix 1")


def test_recipes_that_differ_have_different_names(about):
    variants = [named(name, about) for name in presets.RECIPES]
    for field in dataclasses.fields(Recipe):
        usual = getattr(Recipe(), field.name)
        value = ("crop",) if field.name == "operations" else usual + 1
        value = usual / 2 if field.name in ("momentum", "weight_decay", "drop") else value
        variants.append(dataclasses.replace(Recipe(), **{field.name: value}))
    assert len({called(recipe) for recipe in variants}) == len(variants)


def test_no_mixing_is_no_part_of_what_a_recipe_is():
    assert identity.changed(Recipe()) == {}
    assert identity.changed(Recipe(cutmix=0.5)) == {"cutmix": 0.5}
