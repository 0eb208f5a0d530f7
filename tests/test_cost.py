"""`python -m benchmarks.cost`: that it measures what it says; how long it took is not tested."""

import dataclasses
import importlib
import mmap
import os
import re
import time
from collections import Counter

import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cost import __main__ as cost
from benchmarks.cost import clock, figures, floor, page, settings, training, work
from benchmarks.cost.parts import cell, continual_step, memory, published, scaling, step, trial
from benchmarks.cost.parts import training as training_part
from benchmarks.cost.settings import Timing
from benchmarks.cost.work import MatchingSize
from benchmarks.record import read
from distill.networks import build, parse
from distill.runtime.compute import BFLOAT16, FLOAT32, Compute, multiplies_bfloat16
from distill.runtime.seeding import generator
from distill.training import pieces, stack

CPU = torch.device("cpu")
PLAIN = Compute(CPU, 1, compile="never")
DIGITS = ("8x8, width 4", (1, 8, 8), 4)
PROCESSES = [
    scaling.Case(classes=4, images=50, pixels=8, ipc=1, times=1, processes=count)
    for count in (1, 2)
]
TINY = "classification --method random --sets 1 --networks 1 --epochs 1 --network convnet-d1-w4"
SMALL = {
    "step": {"CASES": ((*DIGITS, 2),), "REAL": 8},
    "training": {
        "CASES": (("8x8", training.TrainingSize((1, 8, 8), "convnet-w4", 10, 2)),),
        "STEPS": 2,
    },
    "published": {"CASES": (1,), "STEPS": 1, "SHAPE": (1, 8, 8)},
    "continual_step": {"CASES": (("8x8, 1 image", (1, 8, 8), 1, 2),), "STEPS": 2},
    "trial": {"NETWORKS": 2, "CASES": (("2 steps", 2, 100),)},
    "startup": {"STARTS": {"nothing": ["-c", ""]}},
    "growth": {
        "BASE": MatchingSize((1, 8, 8), "convnet-w4", classes=2, ipc=1, real=4),
        "VARIED": {"classes": (2, 3), "ipc": (1, 2)},
    },
    "memory": {"CASES": ((2, 2),)},
    "scaling": {"cases": lambda *asked: [("processes", case) for case in PROCESSES]},
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


def small(part, monkeypatch):
    """The module of a part, at small size."""
    module = importlib.import_module(f"benchmarks.cost.parts.{part}")
    for name, value in SMALL.get(part, {}).items():
        monkeypatch.setattr(module, name, value)
    return module


def measured(part, monkeypatch, folder, *args):
    """The record of a part at small size."""
    small(part, monkeypatch)
    given = ["--part", part, "--turns", "1", "--out", str(folder), "--commands", TINY, *args]
    with torch.compiler.set_stance("force_eager"):  # compiling takes a minute and is tested apart
        cost.main(given)
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
    assert {row.get("precision", FLOAT32) for row in rows} <= set(record.cell.precisions)
    assert (record.protocol.threads, record.cell.threads) == (1, (1,))
    printed = capsys.readouterr().out
    assert record.results.title in printed and record.results.note in printed
    for column in rows[0]:
        assert re.search(rf"\| *{re.escape(column)} *\|", printed)
    drawn = [path.name for path in (tmp_path / "figures").glob("*")]
    assert len(drawn) == len(shown.drawings) == (part == "growth")
    if part == "cell":
        assert record.cell.commands == (TINY,) and rows[0]["cell"] == TINY
        assert re.fullmatch(r"distill \d+, train \d+", rows[0]["stages"])


@pytest.mark.parametrize("part", ["step", "training"])
def test_every_pair_of_threads_and_precision_has_a_row(part, monkeypatch):
    monkeypatch.setattr(settings, "SMALL", 4)  # so that 8x8 counts as large
    module = small(part, monkeypatch)
    asked = Timing(1, CPU, (FLOAT32, BFLOAT16), (1, 2) if part == "training" else (1,))
    with torch.compiler.set_stance("force_eager"):
        rows = module.rows(asked)
    pairs = [(row["threads"], row["precision"]) for row in rows]
    assert pairs == [(t, p) for t in asked.threads for p in asked.precisions]


@pytest.mark.parametrize("part", ["step", "startup"])
def test_a_machine_without_bfloat16_says_that_its_rows_are_left_out(part, monkeypatch, tmp_path):
    monkeypatch.setattr("distill.runtime.compute.multiplies_bfloat16", lambda device: False)
    monkeypatch.setattr(settings, "multiplies_bfloat16", lambda device: False)
    record = measured(part, monkeypatch, tmp_path)
    assert record.cell.precisions == (FLOAT32,)
    assert (settings.LEFT_OUT in record.results.note) == (part == "step")


def test_auto_has_bfloat16_where_it_is_native_and_what_is_asked_for_is_alone():
    native = (FLOAT32, BFLOAT16) if multiplies_bfloat16(CPU) else (FLOAT32,)
    assert settings.precisions("auto", CPU) == native
    assert settings.precisions(FLOAT32, CPU) == (FLOAT32,)
    assert settings.precisions(BFLOAT16, CPU) == (BFLOAT16,)
    assert settings.left_out(FLOAT32, CPU) == settings.left_out(BFLOAT16, CPU) == ""


def test_small_images_are_computed_as_a_command_does_it():
    both = Timing(1, CPU, (FLOAT32, BFLOAT16), (1, 2))
    assert both.computes((1, 8, 8)) == [[Compute(CPU, 1, FLOAT32, "never")]]
    large = [[(c.threads, c.precision) for c in own] for own in both.computes((3, 32, 32))]
    assert large == [[(1, FLOAT32), (1, BFLOAT16)], [(2, FLOAT32), (2, BFLOAT16)]]
    assert both.usual((3, 32, 32)) == Compute(CPU, 2, BFLOAT16, "never")


def test_a_cell_has_so_many_cores_and_the_others_are_given_back():
    before = os.sched_getaffinity(0)
    with cell.cores(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_a_cell_that_fails_is_named(fails):
    command = "classification --stes 3"
    error = fails(cost.main, ["--part", "cell", "--commands", command, "--out", "/tmp"])
    assert "classification --stes 3" in error and "failed with 2" in error


def test_cells_that_nobody_chose_are_of_the_default_dataset_and_of_a_larger_one():
    asked = Timing(1, CPU, (FLOAT32,), (1,))
    commands = cell.standard(asked)
    assert commands[0] == "continual --buffer datadam"
    assert all("--dataset cifar10" in command for command in commands[1:])
    assert "--dataset cifar100" in cell.standard(dataclasses.replace(asked, dataset="cifar100"))[1]


def test_an_estimate_is_the_steps_measured_times_their_number(monkeypatch):
    times = iter([(2.0, 2.0, 9.0), (0.4, 0.4, 0.1)])  # seconds of a step, and of STEPS of training
    monkeypatch.setattr(published, "take_turns", lambda ways, turns: list(times))
    monkeypatch.setattr(published.work, "step", lambda size, compute: None)
    row = published._row(50, PLAIN, 3)
    assert row["step s"] == 2 and row["training ms an image"] == 0.4  # 4 steps on 250 images
    assert row["distilling min (estimate)"] == round(8000 * 2 / 60, 1)
    assert row["training min (estimate)"] == round(5 * 1000 * 500 * 0.0004 / 60, 1)
    both = row["distilling min (estimate)"] + row["training min (estimate)"]
    assert row["both min (estimate)"] == pytest.approx(both, abs=0.1)


@pytest.mark.parametrize("chunk", [2**21, 4 * 64 * 7], ids=["at once", "in pieces"])
@pytest.mark.parametrize("precision", [FLOAT32, BFLOAT16])
def test_the_floor_of_a_matching_step_is_its_convolutions_in_its_pieces(
    chunk, precision, monkeypatch
):
    monkeypatch.setitem(pieces.AT_ONCE, "cpu", chunk)
    size = MatchingSize((1, 8, 8), "convnet-w4", classes=3, ipc=4, real=10)
    compute = dataclasses.replace(PLAIN, precision=precision)
    ours = convolutions(work.step(size, compute))
    for layout in (floor.PLAIN, floor.LAST):
        monkeypatch.setattr(floor, "LAYOUTS", (layout,))
        assert convolutions(work.floor_of_step(size, compute)) == ours


def test_packed_weights_are_for_the_real_side_alone_and_convolve_the_same(monkeypatch):
    layer = floor.Convolution((4, 8, 8), (6, 4, 3, 3), (1, 1), (1, 1), (1, 1))
    forward, back = floor.Task(layer, 5), floor.Task(layer, 5, (True, False, False))
    packed, plain = (
        floor.convolution(forward, layout, torch.float32, CPU)()
        for layout in (floor.PACKED, floor.PLAIN)
    )
    assert torch.allclose(packed, plain, atol=1e-5)
    assert floor._packs(forward, torch.float32, CPU)
    assert not floor._packs(back, torch.float32, CPU)


def test_a_floor_is_the_fastest_layout_and_of_bfloat16_the_faster_precision(monkeypatch):
    monkeypatch.setattr(floor, "LAYOUTS", (floor.PLAIN, floor.LAST))
    task = floor.Task(floor.Convolution((4, 8, 8), (6, 4, 3, 3), (1, 1), (1, 1), (1, 1)), 2)
    for precision, types in ((FLOAT32, ["float32"]), (BFLOAT16, ["float32", "bfloat16"])):
        compute = dataclasses.replace(PLAIN, precision=precision)
        candidates = [(last, f"torch.{kind}") for last in (False, True) for kind in types]
        for number, candidate in enumerate(candidates):
            times = [(3.0, float(n != number)) for n in range(len(candidates))]
            monkeypatch.setattr(floor, "take_turns", lambda ways, tries, times=times: times)
            maps = floor.fastest(task, compute)()
            last = maps.is_contiguous(memory_format=torch.channels_last)
            assert (last, str(maps.dtype)) == candidate


@pytest.mark.parametrize("small", [stack.SMALL, 4], ids=["grouped", "one after the other"])
def test_the_floor_of_a_training_step_is_its_convolutions(small, monkeypatch):
    monkeypatch.setattr(stack, "SMALL", small)
    size = training.TrainingSize((1, 8, 8), "convnet-w4", 20, 3)
    groups = {layer.groups for layer in training.layers(size, PLAIN)}
    assert groups == {3 if small == stack.SMALL == 16 else 1}
    ours = convolutions(training.ours(size, 1, PLAIN))
    assert convolutions(training.floor_of_step(size, PLAIN)) == ours


def test_both_ways_of_every_comparison_do_the_same_convolutions(monkeypatch):
    monkeypatch.setitem(pieces.WORTH_A_CALL, "cpu", 1)  # so that no piece is filled up
    monkeypatch.setattr(continual_step, "STEPS", 2)
    monkeypatch.setattr(trial, "NETWORKS", 2)
    loops = continual_step.Loops((1, 8, 8), 1, 2, PLAIN)
    trials = trial.SameTrials(2, 100, PLAIN)
    size = MatchingSize((1, 8, 8), "convnet-w4", classes=2, ipc=2, real=4)
    trained = training.TrainingSize((1, 8, 8), "convnet-w4", 20)
    for plain, other in (
        (loops.bare, loops.avalanche),
        (trials.alone, trials.through),
        (work.reference_step(size, CPU), work.step(size, PLAIN)),
        (training.before(trained, 2, PLAIN), training.ours(trained, 2, PLAIN)),
    ):
        assert _images_back(convolutions(plain)[1]) == _images_back(convolutions(other)[1])


def _images_back(back):
    """How many images go back through a layer, by its weights, whatever is wanted of them."""
    images = Counter()
    for (inputs, weight, *_), times in back.items():
        images[weight] += inputs[0] * times
    return images


NETWORKS = ["convnet-w4", "convnet-d2-w4-nopool", "convnet-d4-w4", "resnet10", "vgg11"]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_floor_of_any_network_takes_the_flops_that_its_convolutions_take(name, monkeypatch):
    monkeypatch.setattr(floor, "LAYOUTS", (floor.LAST,))  # packed weights are not counted
    shape = (3, 16, 16)
    network = build(parse(name), shape, classes=10, generator=generator(0))
    with FlopCounterMode(display=False) as counter:
        network.layers(torch.zeros(4, *shape))
    counted = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    alone = floor.matching(floor.layers(network, shape), floor.PieceCounts({4: 1}, {}), PLAIN)
    with FlopCounterMode(display=False) as counter:
        alone()
    assert counter.get_total_flops() == counted == alone.flops


def test_the_floor_of_a_training_step_takes_the_flops_of_its_convolutions(monkeypatch):
    size = training.TrainingSize((3, 8, 8), "convnet-w4", 20)
    steps = training.ours(size, 1, PLAIN)
    with FlopCounterMode(display=False) as counter:
        steps()
    counts = counter.get_flop_counts()["Global"]
    convolutions = sum(n for operation, n in counts.items() if "conv" in str(operation))
    assert convolutions == training.floor_of_step(size, PLAIN).flops


@pytest.mark.parametrize("name", ["convnet-w4", "convnet-w4-batch"])
def test_the_floor_of_a_step_takes_the_flops_of_its_convolutions(name, monkeypatch):
    monkeypatch.setattr(floor, "LAYOUTS", (floor.PLAIN,))
    size = MatchingSize((1, 8, 8), name, classes=3, ipc=4, real=8)
    counted = []
    for run in (work.step(size, PLAIN), work.floor_of_step(size, PLAIN)):
        with FlopCounterMode(display=False) as counter:
            run()
        counted.append(
            {op: n for op, n in counter.get_flop_counts()["Global"].items() if "conv" in str(op)}
        )
    assert counted[0] == counted[1]
    assert sum(counted[1].values()) == work.floor_of_step(size, PLAIN).flops


def test_ratios_are_of_the_same_turn():
    assert clock.ratio([2, 4, 100], [1, 2, 1]) == 2
    ways = [iter([9, 1, 2, 3]).__next__, iter([9, 4, 5, 6]).__next__]
    assert clock.take_turns(ways, 3) == [(1, 2, 3), (4, 5, 6)]


def test_columns_are_medians_and_ratios_of_the_times_given(monkeypatch):
    # The machine was four times slower in the second turn, for all alike.
    reference, eager, compiled = (10.0, 40.0, 12.0), (2.0, 8.0, 3.0), (1.0, 4.0, 1.0)
    row = step.columns(reference, eager, compiled, (0.5, 2.0, 1.0), flops=7_000_000_000)
    assert row == {
        "reference s": 12.0,
        "eager s": 3.0,
        "compiled s": 1.0,
        "floor s": 1.0,
        "reference / eager": 5.0,
        "reference / compiled": 10.0,
        "eager / floor": 4.0,
        "compiled / floor": 2.0,
        "floor GFLOP/s": 7,
    }
    row = training_part.columns(reference, eager, (0.5, 2.0, 1.0), images=10)
    assert list(row.values()) == [1200.0, 300.0, 100.0, 5.0, 4.0]
    monkeypatch.setattr(trial, "NETWORKS", 10)
    row = trial.columns((1.0, 4.0, 1.0), (2.0, 6.0, 2.0))
    assert list(row.values()) == [100.0, 200.0, 100.0, 40.0]


def test_costs_small_and_large_are_read_to_three_digits():
    frame = pd.DataFrame({"s": [0.03123, 6.334], "ms": [42.04, 1280.4], "count": [5, 10]})
    read = page._read(frame)
    assert read.to_dict("list") == {
        "s": ["0.0312", "6.33"],
        "ms": ["42.0", "1280"],
        "count": [5, 10],
    }


def test_work_that_was_warmed_up_is_timed_once():
    calls = []
    clock.timed(lambda: calls.append(0))()
    assert len(calls) == 1
    clock.timed(lambda: calls.append(0), again=True)()
    assert len(calls) == 3


def test_the_number_of_threads_is_put_back_after_small_images():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with clock.computing(Compute(CPU, 1)):
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
        (["--threads", "0"], "--threads 0: give numbers of 1 or more"),
        (["--precision", "half"], "unknown .*precision 'half'"),
        (["--dataset", "cifar"], "unknown dataset 'cifar'"),
        (["--part", "cell", "--commands", "continul"], "unknown kind of experiment 'continul'"),
        (["--device", "gpu"], "device 'gpu' is not there; this machine has: cpu"),
        (["--out", "/dev/null/x"], "/dev/null/x"),
        (["--classes", "3"], "--classes 3: give 4 or more"),
        (["--images", "7"], "--images 7: give 50 or more"),
    ],
)
def test_bad_input(args, says, fails):
    assert re.search(says, fails(cost.main, args))


@pytest.mark.parametrize("wrong", ["out", "out/records", "out/figures"])
def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_measured(
    wrong, monkeypatch, tmp_path, fails
):
    path = tmp_path / wrong
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    monkeypatch.setattr(cost, "measure", None)
    assert str(path) in fails(cost.main, ["--part", "startup", "--out", str(tmp_path / "out")])
    assert path.read_text() == "mine"


def test_a_broken_record_beside_it_is_refused_before_anything_is_measured(
    monkeypatch, tmp_path, fails
):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "startup-cpu-1-thread-0123456789.json").write_text("{")
    monkeypatch.setattr(cost, "measure", None)
    assert "0123456789" in fails(cost.main, ["--part", "startup", "--out", str(tmp_path)])
