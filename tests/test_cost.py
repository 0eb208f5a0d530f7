"""`python -m benchmarks.cost`: that it measures what it says; how long it took is not tested."""

import dataclasses
import importlib
import mmap
import re
import time
from collections import Counter

import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cost import __main__ as cost
from benchmarks.cost import clock, figures, floor, page, work
from benchmarks.cost.parts import continual_step, memory, networks, step, trial
from benchmarks.cost.work import Size
from benchmarks.record import read
from distill import matching
from distill.networks import build, parse
from distill.runtime.compute import Compute
from distill.runtime.seeding import generator
from distill.train import fit

CPU = torch.device("cpu")
ONE_THREAD = Compute(CPU, 1)
DIGITS = ("8x8, width 8", (1, 8, 8), 8)
SMALL = {
    "step": {"CASES": ((*DIGITS, 2),), "REAL": 8},
    "networks": {"CASES": ((*DIGITS, 1),), "STEPS": 2},
    "continual_step": {"CASES": (("8x8, 1 image", (1, 8, 8), 1, 2),), "STEPS": 2},
    "trial": {"NETWORKS": 2, "CASES": (("2 steps", 2, 100),)},
    "startup": {"STARTS": {"nothing": ["-c", ""]}},
    "growth": {
        "BASE": Size((1, 8, 8), "convnet-w8", classes=2, ipc=1, real=4),
        "VARIED": {"classes": (2, 3), "ipc": (1, 2)},
    },
    "memory": {"CASES": ((2, 2),)},
}
"""Sizes of each part for tests; a new part runs at its own."""


class Convolutions(TorchDispatchMode):
    """Counts what convolutions run, by the shapes they are given and the gradients they give."""

    def __init__(self):
        super().__init__()
        self.forward, self.back = Counter(), Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution.default:
            groups = args[8]
            self.forward[tuple(args[0].shape), tuple(args[1].shape), groups] += 1
        if func is torch.ops.aten.convolution_backward.default:
            groups, gradients = args[9:]
            key = tuple(args[1].shape), tuple(args[2].shape), groups, tuple(gradients)
            self.back[key] += 1
        return func(*args, **(kwargs or {}))


def convolutions(run):
    """Those of `run()`."""
    with Convolutions() as seen:
        run()
    assert seen.forward and seen.back
    return seen.forward, seen.back


def measured(part, monkeypatch, folder):
    """The record of a part at small size."""
    module = importlib.import_module(f"benchmarks.cost.parts.{part}")
    for name, value in SMALL.get(part, {}).items():
        monkeypatch.setattr(module, name, value)
    with torch.compiler.set_stance("force_eager"):  # compiling takes a minute and is tested apart
        cost.main(["--part", part, "--turns", "1", "--out", str(folder)])
    (record,) = read([folder / "records"])
    return record


@pytest.mark.parametrize("part", cost.PARTS)
def test_every_part_writes_the_record_whose_page_it_prints(part, monkeypatch, capsys, tmp_path):
    record = measured(part, monkeypatch, tmp_path)
    ((name, shown),) = page.pages([record], []).items()
    assert name == f"cost-{part.replace('_', '-')}-cpu-1-thread"
    rows = record.results.rows
    assert len(rows) >= 1 and all(row.keys() == rows[0].keys() for row in rows)
    assert shown.frame.to_dict("records") == rows
    printed = capsys.readouterr().out
    assert record.results.title in printed and record.results.note in printed
    for column in rows[0]:
        assert re.search(rf"\| *{re.escape(column)} *\|", printed)
    drawn = [path.name for path in (tmp_path / "figures").glob("*")]
    assert len(drawn) == len(shown.drawings) == (part == "growth")


@pytest.mark.parametrize("chunk", [2**21, 8 * 64 * 7], ids=["at once", "in pieces"])
def test_the_floor_of_a_matching_step_is_its_convolutions_in_its_pieces(chunk, monkeypatch):
    monkeypatch.setitem(matching.AT_ONCE, "cpu", chunk)
    size = Size((1, 8, 8), "convnet-w8", classes=3, ipc=4, real=10)
    pieces = work.pieces(size, CPU)
    assert sum(pieces.real) == 3 * 10 and sum(pieces.synthetic) == 3 * 4
    assert max(pieces.real) <= chunk // (8 * 64)
    ours, alone = work.step(size, CPU), floor.matching(parse("convnet-w8"), (1, 8, 8), pieces, CPU)
    assert convolutions(ours) == convolutions(alone)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)], ids=["grouped", "one after the other"])
def test_the_floor_of_a_training_step_is_its_convolutions(shape):
    training = networks.Training(shape, "convnet-w8", 1, ONE_THREAD)
    assert training.grouped == (shape == (1, 8, 8))
    recipe = dataclasses.replace(training.recipe, epochs=1)
    nets, images, labels = training.networks, training.images, training.labels
    alone = floor.training(
        training.spec, shape, len(images), CPU, networks=len(nets), grouped=training.grouped
    )
    ours = convolutions(lambda: fit(nets, images, labels, recipe=recipe, seed=0))
    assert ours == convolutions(alone)


def test_both_ways_of_every_comparison_do_the_same_convolutions(monkeypatch):
    monkeypatch.setattr(continual_step, "STEPS", 2)
    monkeypatch.setattr(trial, "NETWORKS", 2)
    loops = continual_step.Loops((1, 8, 8), 1, 2, ONE_THREAD)
    trials = trial.SameTrials(2, 100, ONE_THREAD)
    size = Size((1, 8, 8), "convnet-w8", classes=2, ipc=2, real=4)
    for plain, other in (
        (loops.bare, loops.avalanche),
        (trials.alone, trials.through),
        (work.reference_step(size, CPU), work.step(size, CPU)),
    ):
        assert _images_back(convolutions(plain)[1]) == _images_back(convolutions(other)[1])


def _images_back(back):
    """How many images go back through a layer, by its weights, whatever is wanted of them."""
    images = Counter()
    for (inputs, weight, *_), times in back.items():
        images[weight] += inputs[0] * times
    return images


@pytest.mark.parametrize("name", ["convnet-w8", "convnet-d2-w8-nopool", "convnet-d5-w8"])
def test_multiply_adds_are_those_of_the_convolutions(name):
    spec, shape = parse(name), (3, 16, 16)
    network = build(spec, shape, classes=10, generator=generator(0))
    with FlopCounterMode(display=False) as counter:
        maps, _ = network.layers(torch.randn(4, *shape))
    assert 2 * floor.multiply_adds(spec, shape, 4) == counter.get_total_flops()
    assert floor.moved(spec, shape, 4) == 2 * sum(m.numel() * m.element_size() for m in maps)


def test_ratios_are_of_the_same_turn():
    assert clock.ratio([2, 4, 100], [1, 2, 1]) == 2
    ways = [iter([9, 1, 2, 3]).__next__, iter([9, 4, 5, 6]).__next__]
    assert clock.take_turns(ways, 3) == [(1, 2, 3), (4, 5, 6)]


def test_columns_are_medians_and_ratios_of_the_times_given(monkeypatch):
    # The machine was four times slower in the second turn, for all alike.
    row = step.columns((10.0, 40.0, 12.0), (2.0, 8.0, 3.0), (1.0, 4.0, 1.0), (0.5, 2.0, 1.0))
    assert row == {
        "reference ms": 12000.0,
        "ours ms": 3000.0,
        "times faster": 5.0,
        "compiled ms": 1000.0,
        "floor ms": 1000.0,
        "ours / floor": 4.0,
        "compiled / floor": 2.0,
    }
    monkeypatch.setattr(networks, "STEPS", 10)
    row = networks.columns((10.0, 40.0, 12.0), (2.0, 8.0, 3.0), (0.5, 2.0, 1.0))
    assert list(row.values()) == [1200.0, 300.0, 5.0, 100.0, 4.0]
    monkeypatch.setattr(trial, "NETWORKS", 10)
    row = trial.columns((1.0, 4.0, 1.0), (2.0, 6.0, 2.0))
    assert list(row.values()) == [100.0, 200.0, 100.0, 40.0]


def test_work_that_was_warmed_up_is_timed_once():
    calls = []
    clock.timed(lambda: calls.append(0))()
    assert len(calls) == 1
    clock.timed(lambda: calls.append(0), again=True)()
    assert len(calls) == 3


def test_the_number_of_threads_is_put_back_after_small_images():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with clock.computing(CPU, (1, 8, 8)):
        inside = torch.get_num_threads()
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert (inside, after) == (1, 2)


def test_memory_held_for_a_moment_is_seen():
    def hold():
        with mmap.mmap(-1, 64 * 2**20) as block:
            block[:: mmap.PAGESIZE] = b"1" * (len(block) // mmap.PAGESIZE)
            time.sleep(0.1)

    before, most = memory.held(hold, CPU)
    assert 60 < most - before < 120


def test_a_page_shows_the_latest_record_and_no_other_machine(monkeypatch, tmp_path):
    old = measured("startup", monkeypatch, tmp_path)
    rows = [{"start": "nothing", "ms": 7}]
    new = dataclasses.replace(
        old,
        cell=dataclasses.replace(old.cell, turns=3),
        results=dataclasses.replace(old.results, rows=rows),
        provenance=dataclasses.replace(old.provenance, date="2999-01-01T00:00:00+00:00"),
    )
    other = dataclasses.replace(old, protocol=dataclasses.replace(old.protocol, device="cuda:1"))
    for records in ([old, new, other], [other, new, old]):
        shown = page.pages(records, [])
        assert list(shown) == ["cost-startup-cpu-1-thread", "cost-startup-cuda1-1-thread"]
        latest = shown["cost-startup-cpu-1-thread"]
        assert latest.frame.to_dict("records") == rows
        assert "Measured on 2999-01-01, each thing 3 times" in latest.note


def test_the_figure_shows_the_times_and_the_floor_of_what_is_varied():
    rows = [("classes", 20, 8.0, 4.0), ("classes", 5, 2.0, 1.0), ("real images", 16, 3.0, 0.5)]
    figure = figures.cost_growth(pd.DataFrame(rows, columns=figures.COLUMNS))
    shown = {
        (axis.get_xlabel(), line.get_label()): line.get_xydata().tolist()
        for axis in figure.axes
        for line in axis.get_lines()
    }
    assert shown == {
        ("classes", "measured"): [[5, 2], [20, 8]],
        ("classes", "convolutions alone"): [[5, 1], [20, 4]],
        ("real images", "measured"): [[16, 3]],
        ("real images", "convolutions alone"): [[16, 0.5]],
    }


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--part", "stp"], "unknown part 'stp'.*did you mean step"),
        (["--turns", "0"], "--turns 0: give 1 or more"),
        (["--device", "gpu"], "device 'gpu' is not there; this machine has: cpu"),
        (["--out", "/dev/null/x"], "/dev/null/x"),
    ],
)
def test_bad_input(args, says, fails):
    assert re.search(says, fails(cost.main, args))
