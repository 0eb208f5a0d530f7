"""The keys of records: what is a part of one, and what is not."""

import dataclasses
import importlib

import pytest

from benchmarks.classification import __main__ as classification
from benchmarks.classification.run import Judged
from benchmarks.continual import __main__ as continual
from benchmarks.continual import facts
from benchmarks.schema import Making
from distill.runtime.flags import parse
from distill.training.recipes import Recipe
from downstream.continual.metrics import OrderResult

from records import EVERY, continual_record

# Keys of the standard cells: `python -m benchmarks.continual` and `benchmarks.classification`, as
# they stand. One that changes makes all records of the kind foreign: only on purpose.
CONTINUAL = "3e2a6f460a"
CLASSIFICATION = "c0910f94a4"


def key_of(module, args, monkeypatch, record=None):
    """The key of the record that a command would write; its results are taken from `record`."""
    kind = module.__name__.split(".")[1]
    given = record or EVERY[kind]()
    if kind == "continual":
        pairs = zip(given.results.sizes, given.results.matrices, strict=True)
        name, values = "results", ([OrderResult(*pair) for pair in pairs], [])
    else:
        name, values = "judged", [Judged(given.results.accuracies, [], {})]
    running = importlib.import_module(f"benchmarks.{kind}.run")
    monkeypatch.setattr(running, name, lambda *given, **settings: values)
    command, flags = parse(getattr(module, kind.capitalize()), args, prog="x")
    made = module.run(module.prepare(command, flags), given.provenance)
    return (made[0] if isinstance(made, list) else made).key


def test_the_keys_of_the_standard_cells_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert key_of(continual, [], monkeypatch) == CONTINUAL
    assert key_of(classification, [], monkeypatch) == CLASSIFICATION


def test_label_paths_preset_names_and_results_are_no_part_of_a_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = ["--out", "elsewhere", "--data-root", "data2", "--device", "cpu"]
    elsewhere += ["--logger", "csv"]
    assert key_of(continual, elsewhere, monkeypatch) == CONTINUAL
    other = continual_record("dm", shift=3.0, label="another name")
    assert key_of(continual, [], monkeypatch, other) == CONTINUAL
    random = ["--method", "random"]  # what it makes is the same for every preset
    keys = [key_of(classification, [*random, *m], monkeypatch) for m in ([], ["--preset", "paper"])]
    assert keys[0] == keys[1]
    assert dataclasses.replace(other, label="dm").key == other.key


def test_what_is_run_is_part_of_a_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = [["--seed", "1"], ["--sets", "1"], ["--orders", "6"], ["--method.power", "1"]]
    flags += [["--judge", "validation"], ["--network", "convnet-w8"], ["--strategy", "replay"]]
    flags += [["--ipc", "2"], ["--steps", "2"], ["--preset", "paper"], ["--buffer", "dm"]]
    keys = [key_of(continual, own, monkeypatch) for own in ([], *flags)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "module",
    ["downstream.continual.protocol", "benchmarks.continual.facts", "distill.methods.datadam"],
)
def test_a_raised_version_changes_the_key(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"{module}.VERSION", 1000)
    assert key_of(continual, [], monkeypatch) != CONTINUAL
    if "continual" in module:
        assert key_of(classification, [], monkeypatch) == CLASSIFICATION


def with_field(instance):
    """The same instance of a class that has one more field, at its default."""
    kind = type(instance)
    more = dataclasses.make_dataclass(
        kind.__name__,
        [("later", int, dataclasses.field(default=7, kw_only=True))],
        bases=(kind,),
        frozen=True,
    )
    values = {f.name: getattr(instance, f.name) for f in dataclasses.fields(kind)}
    return more(**values), more(**values, later=8)


@pytest.mark.parametrize("part", [Making, facts.Cell, facts.Protocol, Recipe])
def test_a_new_field_at_its_default_changes_no_key(part):
    record = continual_record("datadam", config={"power": 1.0})

    def holding(new):
        if part is Making:
            return dataclasses.replace(record, cell=dataclasses.replace(record.cell, making=new))
        if part is Recipe:
            protocol = dataclasses.replace(record.protocol, recipe=new)
            return dataclasses.replace(record, protocol=protocol)
        return dataclasses.replace(record, **{part.__name__.lower(): new})

    old = {Making: record.cell.making, Recipe: record.protocol.recipe}
    default, other = with_field(old.get(part) or getattr(record, part.__name__.lower()))
    assert holding(default).key == record.key != holding(other).key
    assert holding(default).protocol_key == record.protocol_key
