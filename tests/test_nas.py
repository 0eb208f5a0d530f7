"""NNI's in-process engine and strategies around our trials: real NNI, small trainings."""

import dataclasses

import pytest

from distill.mistake import Mistake
from distill.train import Recipe
from downstream import nas, proxy, space, trial
from downstream.ledger import Ledger
from downstream.search import Engine, Search, Trials
from downstream.truth import Truth

from conftest import CPU

SPECS = space.sample("laptop", 4)
HERE = Engine("in-process", None, 1, 8080, trial.Path("nowhere"))


@pytest.fixture
def trials(digits, tmp_path):
    """Trials of four optimiser steps on the whole of the digits."""
    settings = proxy.whole_settings(
        digits,
        dataset="digits",
        image_size=None,
        root=tmp_path,
        recipe=Recipe(batch=64),
        device=CPU,
    )
    settings = dataclasses.replace(settings, steps=4, looks=True)
    job = trial.job(settings, digits, None)
    return Trials("trials", job, Ledger(tmp_path, "digits", settings.key()), HERE, 10)


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
    return Search("grid", "laptop", specs, len(specs), seed=0)


def anew(trials):
    """The same trials, with the ledger read from the disk."""
    ledger = Ledger(trials.ledger.path.parent, "digits", trials.ledger.settings)
    return dataclasses.replace(trials, ledger=ledger)


def test_the_grid_tries_the_list_in_its_order(trials):
    rows = trials.run(grid())
    assert [row["network"] for row in rows] == [str(spec) for spec in SPECS]
    for row, spec in zip(rows, SPECS, strict=True):
        assert row["status"] == "trained" and 0 <= row["accuracy"] <= 100
        assert (row["parameters"], row["flops"]) == space.size(spec, (1, 8, 8), 10)


def test_the_order_of_trials_changes_nothing(trials, tmp_path):
    rows = {row["network"]: row["looks"] for row in trials.run(grid())}
    other = Ledger(tmp_path / "other", "digits", trials.ledger.settings)
    reverse = dataclasses.replace(trials, ledger=other).run(grid(SPECS[::-1]))
    assert {row["network"]: row["looks"] for row in reverse} == rows


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
    build = nas.build

    def fails(spec, *args, **kwargs):
        if spec == SPECS[1]:
            raise MemoryError("no room")
        return build(spec, *args, **kwargs)

    monkeypatch.setattr(nas, "build", fails)
    rows = trials.run(grid())
    assert [row["status"] for row in rows] == ["trained", "failed", "trained", "trained"]
    assert "no result came back" in rows[1]["reason"] and rows[1]["parameters"] > 0


def test_a_ledger_that_cannot_be_written_ends_the_run(trials, monkeypatch):
    def full(row):
        raise Mistake("no room")

    monkeypatch.setattr(trials.ledger, "add", full)
    with pytest.raises(Mistake, match="no room"):
        trials.run(grid())


@pytest.mark.parametrize("strategy", ["random", "evolution"])
def test_a_search_spends_its_budget_and_goes_on_where_it_was_killed(
    strategy, trials, trained, monkeypatch, tmp_path
):
    plan = Search(strategy, "laptop", [], 12, seed=3)
    unbroken = [row["network"] for row in trials.run(plan)]
    assert len(unbroken) == len(set(unbroken)) == 12 == len(trained)
    other = Ledger(tmp_path / "other", "digits", trials.ledger.settings)
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
    strategy = nas.strategy("tpe", networks=[], budget=3, seed=0)
    assert strategy.tuner.optimize_mode.value == "maximize"
    rows = trials.run(Search("tpe", "laptop", [], 3, seed=0))
    assert len({row["network"] for row in rows}) == 3


def test_the_ground_truth_trains_only_what_is_not_known(trials, trained):
    names = [str(spec) for spec in SPECS]
    truth = Truth({names[0]: 77.0, names[1]: None}, lambda: trials, "laptop")
    found = truth.of(names)
    assert found[:2] == [77.0, None] and sorted(trained) == sorted(names[2:])
    assert truth.of(names) == found and len(trained) == 2


def test_the_cost_is_said_before_it_is_paid(trials, capsys):
    trials.run(grid(SPECS[:1]))
    capsys.readouterr()
    trials.announce(grid())
    said = capsys.readouterr().err
    assert "trials: 3 networks to train, 4 steps each, about 0:0" in said
    assert "1 are done already" in said
