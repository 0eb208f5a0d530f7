"""`python -m benchmarks.cost` at small size: what it measures is there; how long it took is not
tested."""

import importlib
import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import cost
from benchmarks.costs import PARTS, clock, step
from benchmarks.record import read
from distill.networks import Spec, build
from distill.runtime.seeding import generator

DIGITS = ("8x8, width 8", (1, 8, 8), 8)
SMALL = {
    "step": {"CASES": ((*DIGITS, 2),), "REAL": 8},
    "networks": {"CASES": ((*DIGITS, 1),), "STEPS": 2},
    "continual_step": {"CASES": (("8x8, 1 image", (1, 8, 8), 1, 2),), "STEPS": 2},
    "trial": {"NETWORKS": 2, "CASES": (("2 steps", 2),)},
    "startup": {"COMMANDS": ("distill",)},
    "growth": {"VARIED": {"classes": (2, 3), "images a class": (1, 2)}},
    "memory": {"CASES": ((2, 2),)},
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_measures_writes_its_record_and_prints_its_table(
    part, monkeypatch, capsys, tmp_path
):
    module = importlib.import_module(f"benchmarks.costs.{part}")
    for name, value in SMALL[part].items():
        monkeypatch.setattr(module, name, value)
    cost.main(["--part", part, "--turns", "1", "--out", str(tmp_path)])
    (record,) = read([tmp_path / "records"])
    rows = record.metrics["rows"]
    assert rows and all(row.keys() == rows[0].keys() for row in rows)
    numbers = [v for row in rows for v in row.values() if isinstance(v, int | float)]
    assert numbers and all(
        row[k] > 0 for row in rows for k in ("ours ms", "fit ms", "ms") if k in row
    )
    printed = capsys.readouterr().out
    assert (
        module.TITLE in printed and module.NOTE in printed and str(next(iter(rows[0]))) in printed
    )
    assert bool(list((tmp_path / "figures").glob("*"))) == (part == "growth")


def test_multiply_adds_are_those_of_the_convolutions():
    spec = Spec(width=8)
    network = build(spec, (3, 32, 32), classes=10, generator=generator(0))
    with FlopCounterMode(display=False) as counter:
        network.layers(torch.randn(4, 3, 32, 32))
    assert 2 * step.multiply_adds(spec, (3, 32, 32), 4) == counter.get_total_flops()


def test_ratios_are_of_the_same_turn():
    assert clock.ratio([2, 4, 100], [1, 2, 1]) == 2
    ways = [iter([9, 1, 2, 3]).__next__, iter([9, 4, 5, 6]).__next__]
    assert clock.take_turns(ways, 3) == [(1, 2, 3), (4, 5, 6)]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--part", "stp"], "unknown part 'stp'.*did you mean step"),
        (["--turns", "0"], "--turns 0: give 1 or more"),
    ],
)
def test_bad_input(args, says, fails):
    assert re.search(says, fails(cost.main, args))
