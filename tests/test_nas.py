"""NNI's in-process engine and strategies around our trials: real NNI, small trainings."""

import dataclasses
from pathlib import Path

import pytest

from distill import datasets, networks
from distill.networks import size
from distill.runtime.compute import CPU
from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake
from distill.training.recipes import Recipe
from downstream.nas import engine, proxy, trial
from downstream.nas.search import Engine, Search, Trials
from downstream.nas.space import ConvNets
from downstream.nas.truth import Truth

LAPTOP = ConvNets("laptop", (1, 8, 8), 10)
SPECS = LAPTOP.sample(4)
HERE = Engine("in-process", None, 1, 8080, Path("nowhere"))


@pytest.fixture
def trials(tmp_path):
    """Trials of four optimiser steps on the whole of the digits."""
    data = datasets.load("digits", root=tmp_path)
    settings = proxy.whole_settings(
        data,
        dataset="digits",
        image_size=None,
        root=tmp_path,
        recipe=Recipe(batch=64),
        compute=CPU,
    )
    settings = dataclasses.replace(settings, steps=4, looks=True)
    job = trial.job(settings, data, None)
    return Trials("trials", job, Ledger(tmp_path, "digits", settings.identity()), HERE, LAPTOP)


@pytest.fixture
def trained(monkeypatch):
    """The names of the networks that are really trained from here on."""
    names = []
    evaluate = trial.evaluate

    def counted(network, *args):
        names.append(str(network.spec))
        return evaluate(network, *args)

    monkeypatch.setattr(trial, "evaluate", counted)
    return names


def grid(specs=SPECS):
    return Search("grid", specs, len(specs), seed=0)


def anew(trials):
    """The same trials, with the ledger read from the disk."""
    ledger = Ledger(trials.ledger.path.parent, "digits", trials.ledger.facts)
    return dataclasses.replace(trials, ledger=ledger)


def test_the_grid_tries_the_list_in_its_order(trials):
    rows = trials.run(grid())
    assert [row["network"] for row in rows] == [str(spec) for spec in SPECS]
    for row, spec in zip(rows, SPECS, strict=True):
        assert row["status"] == "trained" and 0 <= row["accuracy"] <= 100
        assert (row["parameters"], row["flops"]) == size(spec, (1, 8, 8), 10)


def test_the_order_of_trials_changes_nothing(trials, tmp_path):
    rows = {row["network"]: row["looks"] for row in trials.run(grid())}
    other = Ledger(tmp_path / "other", "digits", trials.ledger.facts)
    reverse = dataclasses.replace(trials, ledger=other).run(grid(SPECS[::-1]))
    assert {row["network"]: row["looks"] for row in reverse} == rows


def test_trials_on_two_processes_are_those_on_one(trials, tmp_path, trained):
    rows = trials.run(grid())
    first = Ledger(tmp_path / "other", "digits", trials.ledger.facts)
    first.add(rows[1])
    both = dataclasses.replace(trials, ledger=first, workers=2)
    del trained[:]
    again = both.run(grid())
    assert trained == [], "none in this process"
    timeless = [[{**row, "seconds": None} for row in some] for some in (rows, again)]
    assert timeless[0] == timeless[1] and all(row["seconds"] > 0 for row in again)
    assert list(first.rows)[0] == str(SPECS[1]) and anew(both).ledger.rows == first.rows


def test_finished_trials_are_never_repeated(trials, trained):
    trials.run(grid(SPECS[:3]))
    assert len(trained) == 3
    rows = anew(trials).run(grid())
    assert trained[3:] == [str(SPECS[3])] and len(rows) == 4
    assert anew(trials).run(grid()) == rows and len(trained) == 4


def test_a_broken_trial_is_a_row_and_is_tried_again(trials, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(trial, "initialise", lambda *a, **k: 1 / 0)
        rows = trials.run(grid())
    assert [row["status"] for row in rows] == ["failed"] * 4
    assert rows[0]["reason"] == "ZeroDivisionError: division by zero"
    assert [row["status"] for row in anew(trials).run(grid())] == ["trained"] * 4


def test_a_network_that_cannot_be_built_is_a_row(trials, monkeypatch):
    build = networks.build

    def fails(spec, *args, **kwargs):
        if spec == SPECS[1]:
            raise MemoryError("no room")
        return build(spec, *args, **kwargs)

    monkeypatch.setattr(networks, "build", fails)
    rows = trials.run(grid())
    assert [row["status"] for row in rows] == ["trained", "failed", "trained", "trained"]
    assert "no result came back" in rows[1]["reason"] and rows[1]["parameters"] > 0


def test_a_ledger_that_cannot_be_written_ends_the_run(trials, monkeypatch):
    def full(row):
        raise Mistake("no room")

    monkeypatch.setattr(trials.ledger, "add", full)
    with pytest.raises(Mistake, match="no room"):
        trials.run(grid())


def test_a_damaged_trial_is_made_again_and_not_taken_for_a_result(trials, trained, capsys):
    rows = trials.run(grid())
    path = trials.ledger.path
    lines = path.read_bytes().splitlines(keepends=True)
    accuracy = str(trials.ledger.rows[str(SPECS[2])]["accuracy"]).encode()
    lines[3] = lines[3].replace(accuracy, b"9" * len(accuracy))
    path.write_bytes(b"".join(lines))
    del trained[:]
    again = anew(trials).run(grid())
    assert trained == [str(SPECS[2])] and f"{path}" in capsys.readouterr().err
    assert [row["looks"] for row in again] == [row["looks"] for row in rows]


@pytest.mark.parametrize("strategy", ["random", "evolution"])
def test_a_search_spends_its_budget_and_goes_on_where_it_was_killed(
    strategy, trials, trained, monkeypatch, tmp_path
):
    plan = Search(strategy, [], 12, seed=3)
    unbroken = [row["network"] for row in trials.run(plan)]
    assert len(unbroken) == len(set(unbroken)) == 12 == len(trained)
    other = Ledger(tmp_path / "other", "digits", trials.ledger.facts)
    broken = dataclasses.replace(trials, ledger=other)
    with monkeypatch.context() as patch:
        add, left = other.add, iter(range(7))

        def dies(row):
            next(left)
            add(row)

        patch.setattr(other, "add", dies)
        with pytest.raises(StopIteration):
            broken.run(plan)
    trained.clear()
    assert [row["network"] for row in broken.run(plan)] == unbroken
    assert len(trained) == 12 - 7


def test_tpe_searches_for_the_highest_accuracy(trials):
    strategy = engine.strategy("tpe", points=[], axes=5, budget=3, seed=0)
    assert strategy.tuner.optimize_mode.value == "maximize"
    rows = trials.run(Search("tpe", [], 3, seed=0))
    assert len({row["network"] for row in rows}) == 3


def test_the_ground_truth_trains_only_what_is_not_known(trials, trained):
    names = [str(spec) for spec in SPECS]
    truth = Truth({names[0]: 77.0, names[1]: None}, lambda: trials)
    accuracies = truth.of(names)
    assert accuracies[:2] == [77.0, None] and sorted(trained) == sorted(names[2:])
    assert truth.of(names) == accuracies and len(trained) == 2


def test_the_cost_is_said_before_it_is_paid(trials, capsys):
    trials.run(grid(SPECS[:1]))
    capsys.readouterr()
    trials.announce(grid())
    said = capsys.readouterr().err
    assert "trials: 3 networks to train, 4 steps each, about 0:0" in said
    assert "1 are done already" in said


def test_every_method_is_a_proxy_of_its_own_name():
    assert proxy.method_of("herding", None) == "herding"
    assert proxy.method_of("distilled", None) == "datadam"
    assert proxy.method_of("distilled", "dm") == "dm"
    assert [proxy.method_of(name, None) for name in (*proxy.REAL, *proxy.UNTRAINED)] == [None] * 6
    for name in ("random", "whole", "flops"):
        with pytest.raises(Mistake, match=f"--method dm is for --proxy distilled, not .* {name}"):
            proxy.method_of(name, "dm")
    with pytest.raises(Mistake, match="unknown proxy 'herdng'.*did you mean herding"):
        proxy.method_of("herdng", None)
    with pytest.raises(Mistake, match="unknown method 'dn'"):
        proxy.method_of("distilled", "dn")
