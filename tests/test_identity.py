"""When two things are the same, and when not."""

import dataclasses
from pathlib import Path

import pytest
import torch

from distill import datasets
from distill.images import ImageSet, Normalisation
from distill.plan import KIND, Plan
from distill.runtime import identity, registry
from distill.runtime.ledger import Ledger

METHODS = registry.names("distill.methods")


@pytest.fixture(scope="module")
def real() -> ImageSet:
    """Digits as they are loaded, under their own normalisation."""
    return datasets.load("digits").train


def laptop(method: str, real: ImageSet) -> Plan:
    """The set of one image a class that the laptop preset makes."""
    return Plan.of(method, real.about, ipc=1)


def key(plan: Plan, real: ImageSet) -> str:
    return identity.key(KIND, plan.identity(real))


GOLDEN = {
    "random": "e9cab7aeb5",
    "herding": "143555e003",
    "dm": "bc32efbf4d",
    "datadam": "fa7de5b255",
    "dc": "f0feb25817",
    "dsa": "6f6693d2b9",
}
"""Keys of the laptop preset's sets of one image a class of digits. A key that differs from these
expires every set that anyone has kept: change one only together with a VERSION."""


@pytest.mark.parametrize("method", GOLDEN)
def test_the_golden_keys_of_the_standard_sets(method, real):
    assert key(laptop(method, real), real) == GOLDEN[method]


def test_the_golden_name_of_a_ledger():
    ledger = Ledger(Path("anywhere"), "digits-random", {"seed": 0})
    assert ledger.path == Path("anywhere/digits-random-0ddc566310.jsonl")


def grown(config, **values):
    """`config` as it would be had its dataclass one more field, with the default 0.5."""
    fields = [("novelty", float, 0.5)]
    larger = dataclasses.make_dataclass("Larger", fields, bases=(type(config),), frozen=True)
    own = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return larger(**own, **values)


@pytest.mark.parametrize("method", METHODS)
def test_a_new_field_changes_no_key_while_it_has_its_default(method, real):
    plan = laptop(method, real)
    newer = dataclasses.replace(plan, config=grown(plan.config))
    assert key(newer, real) == key(plan, real)
    used = dataclasses.replace(plan, config=grown(plan.config, novelty=0.75))
    assert key(used, real) != key(plan, real)


def test_all_that_the_images_depend_on_changes_the_key(real, monkeypatch):
    plan = laptop("datadam", real)
    about = real.about
    darker = ImageSet(about, real.images.clone(), real.labels, real.normalisation)
    darker.images[500, 0, 3, 3] += 1
    others = [
        (dataclasses.replace(plan, seed=1), real),
        (dataclasses.replace(plan, ipc=2), real),
        (dataclasses.replace(plan, config=dataclasses.replace(plan.config, power=1)), real),
        (dataclasses.replace(plan, config=dataclasses.replace(plan.config, formation=2)), real),
        (plan, darker),
        (plan, real.only(range(9))),
        (plan, real.normalised_by(Normalisation.fixed(1))),
        (plan, dataclasses.replace(real, about=dataclasses.replace(about, operations=("crop",)))),
        (plan, dataclasses.replace(real, about=dataclasses.replace(about, version=2))),
        (plan, dataclasses.replace(real, about=dataclasses.replace(about, name="numbers"))),
    ]
    keys = {key(plan, real)} | {key(*other) for other in others}
    monkeypatch.setattr(plan.module, "VERSION", plan.module.VERSION + 1)
    keys.add(key(plan, real))
    assert len(keys) == 2 + len(others)


def test_every_setting_of_a_method_takes_part(real):
    plan = laptop("datadam", real)
    changes = {
        "network": "convnet-d1-w8",
        "initialisation": "kaiming",
        "schedule": "linear",
        "averaged": 0.5,
        "formation": 2,
        "start": "noise",
        "augmented": False,
        "every_layer": True,
    }
    for field in dataclasses.fields(plan.config):
        value = changes.get(field.name)
        if value is None:
            value = getattr(plan.config, field.name) / 2 or 1
            value = int(value) if field.type is int else value
        config = dataclasses.replace(plan.config, **{field.name: value})
        assert key(dataclasses.replace(plan, config=config), real) != key(plan, real), field.name


def test_methods_of_equal_settings_are_told_apart(real):
    keys = {key(Plan(method, laptop("random", real).config, 1), real) for method in METHODS}
    assert len(keys) == len(METHODS)


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    names: tuple[str, ...] = ("a",)


@dataclasses.dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner = Inner()
    many: list[int] = dataclasses.field(default_factory=lambda: [1, 2])
    part: Inner | None = None


def test_what_has_its_default_is_no_part_and_what_has_none_always_is():
    assert identity.changed(Outer(3)) == {"count": 3}
    assert identity.changed(Outer(3, Inner(), [1, 2])) == {"count": 3}
    given = Outer(3, Inner(rate=0.5), [1], Inner(names=("b",)))
    assert identity.changed(given) == {
        "count": 3,
        "inner": {"rate": 0.5},
        "many": [1],
        "part": {"names": ["b"]},
    }


def test_what_is_written_otherwise_is_the_same():
    assert identity.key("x", {"a": 1.0, "b": (1, 2)}) == identity.key("x", {"b": [1, 2.0], "a": 1})
    assert identity.key("x", {"a": {3: 1}}) == identity.key("x", {"a": {"3": 1}})
    assert identity.changed(Inner(rate=1)) == identity.changed(Inner(rate=1.0)) == {}


def test_what_means_something_else_is_another():
    facts = [{"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": True}, {"a": None}, {"b": 1}, {"a": [1]}, {}]
    assert len({identity.key("x", fact) for fact in facts}) == len(facts)
    assert identity.key("x", {}) != identity.key("y", {})


@pytest.mark.parametrize("value", [torch.ones(2), Path("x"), {1, 2}, torch.device("cpu"), Inner])
def test_what_has_no_identity_is_refused(value):
    with pytest.raises(TypeError, match=f"a {type(value).__name__} has no identity"):
        identity.key("x", {"deep": [{"inside": value}]})


def test_the_first_difference_is_named():
    ours = {"recipe": {"epochs": 1, "rate": 0.5}, "seed": 0, "sizes": [1, 2, 3, 4, 5]}
    assert identity.first_difference(ours, ours) is None
    theirs = {**ours, "recipe": {"epochs": 20, "rate": 0.5}}
    assert identity.first_difference(ours, theirs) == "recipe.epochs: 20, not 1"
    assert identity.first_difference(ours, {**ours, "seed": None}) == "seed: the default, not 0"
    longer = {**ours, "sizes": [1, 2, 3, 4, 5, 6]}
    assert identity.first_difference(ours, longer) == "sizes: 6 values, not 5 values"


def test_a_lower_precision_and_the_choice_of_first_images_are_part_of_a_learned_set(real):
    plan = laptop("dm", real)
    usual = identity.key("set", plan.identity(real))
    assert identity.key("set", plan.identity(real, "float32")) == usual
    low = identity.key("set", plan.identity(real, "bfloat16"))
    herded = dataclasses.replace(plan, config=dataclasses.replace(plan.config, start="herding"))
    assert len({usual, low, identity.key("set", herded.identity(real))}) == 3
    before = identity.key("set", herded.identity(real))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("distill.methods.herding.VERSION", 99)
        assert identity.key("set", herded.identity(real)) != before
        assert identity.key("set", plan.identity(real)) == usual
    chosen = laptop("herding", real)  # nothing is multiplied in a lower precision there
    assert chosen.identity(real, "bfloat16") == chosen.identity(real)
