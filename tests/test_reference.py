"""Rows that are no method's: what they hold, what they bound, that they resume, what is refused."""

import dataclasses
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy import stats

from benchmarks import evidence
from benchmarks.continual import __main__ as continual
from benchmarks.continual import page as pages_of
from benchmarks.continual.rows import runs
from benchmarks.record import read, read_one
from distill import plan
from distill.plan import Plan
from distill.runtime.store import Store
from distill.training.recipes import Recipe
from downstream.continual.memory import Reservoir
from downstream.continual.metrics import final_accuracy
from downstream.continual.protocol import Protocol, class_order, step_sizes
from downstream.continual.reference import NAMES, Reference
from downstream.continual.run import run_order
from downstream.continual.steps import Steps

from records import continual_record

CELLS = [
    ("naive", "replay"),
    ("joint", "replay"),
    ("joint", "retrain"),
    ("reservoir", "replay"),
    ("reservoir", "retrain"),
]
SHORT = Protocol(
    steps=5,
    strategy="replay",
    network="convnet-d2-w8",
    networks=1,
    recipe=Recipe(epochs=6, rate=0.05, batch=32, drop=1.0, operations=()),
    seed=0,
    orders=1,
    sets=1,
)
BRIEF = ["--steps", "2", "--orders", "2", "--network", "convnet-d2-w8", "--epochs", "1"]


def groups(steps=5):
    return [part.tolist() for part in torch.tensor(class_order(0, 10)).split(step_sizes(10, steps))]


def gone_through(data, asked, *, standing=None, **changes):
    protocol = dataclasses.replace(SHORT, **changes)
    ipc = asked.ipc if isinstance(asked, Reference) else 1
    return run_order(data, asked, ipc=ipc, protocol=protocol, order=0, steps=standing)


# ------------------------------------------------------------------ what is held


def test_a_reservoir_is_a_uniform_sample_of_what_it_has_seen(digits):
    """Every image alike, whenever it came: chi-squared over 600 seeded reservoirs, and by step."""
    few = torch.cat([torch.arange(c * 100, c * 100 + 8) for c in range(10)])
    real = dataclasses.replace(
        digits.train,
        images=digits.train.images[few],
        labels=torch.arange(10).repeat_interleave(8),
        positions=None,
    )
    held = torch.zeros(3, 80)
    for seed in range(600):
        memory = Reservoir(real, max_size=20, seed=seed)
        for step, classes in enumerate(groups(3)):
            memory.take(classes)
            held[step, memory.kept] += 1
    for step, count in enumerate((32, 56, 80)):
        seen = held[step][held[step] > 0]
        assert len(seen) == count and seen.sum() == 600 * 20
        spread = 600 * 20 / count * (1 - 20 / count)  # variance of how often one image is held
        chi = float(((seen - seen.mean()) ** 2).sum() / spread * (count - 1) / count)
        assert 0.001 < stats.chi2.sf(chi, count - 1) < 0.999


def test_a_reservoir_is_full_from_the_first_step_on_and_never_over(digits):
    memory, seen = Reservoir(digits.train, max_size=50, seed=3), []
    for classes in groups():
        memory.take(classes)
        seen += classes
        images, labels = memory.tensors()
        assert len(images) == len(memory.kept.unique()) == 50, "no image twice"
        assert set(labels.tolist()) <= set(seen)
        assert torch.equal(images, digits.train.normalisation(digits.train.images[memory.kept]))
    assert memory.stored_bytes == 50 * 64, "8 x 8 values of 1 byte"
    roomy = Reservoir(digits.train, max_size=5000, seed=3)
    for classes in groups():
        roomy.take(classes)
    assert roomy.kept.sort().values.tolist() == list(range(len(digits.train)))


def test_the_seed_decides_what_a_reservoir_holds(digits):
    def kept(seed):
        memory = Reference("reservoir", 2, seed).memory(digits.train)
        for classes in groups():
            memory.take(classes)
        return memory.kept.tolist()

    assert kept(1) == kept(1) != kept(2)


# ------------------------------------------------------------------ what it comes to


def test_without_a_memory_the_first_step_is_forgotten_and_with_all_images_nothing_is(digits):
    real = digits.train
    config = plan.registry.load("distill.methods", "random").preset(real.about, 1, "laptop")
    small = Plan("random", config, 1)
    results = {
        "naive": gone_through(digits, Reference("naive")),
        "random": gone_through(digits, lambda images: plan.distill(small, images)),
        "reservoir": gone_through(digits, Reference("reservoir", 3)),
        "joint": gone_through(digits, Reference("joint")),
    }
    finals = {name: final_accuracy(r.matrices[0], r.sizes) for name, r in results.items()}
    naive, joint = (results[name].matrices[0] for name in ("naive", "joint"))
    assert naive[0][0] > 90 and naive[4][0] == 0 and naive[4][4] > 30
    assert joint[4][0] > 75
    assert finals["joint"] > max(finals["random"], finals["reservoir"]) + 5
    assert min(finals["random"], finals["reservoir"]) > finals["naive"] + 5


@pytest.mark.parametrize(("method", "strategy"), CELLS)
def test_a_row_that_is_broken_off_goes_on_to_the_same_bits(method, strategy, digits, tmp_path):
    class Broken(Steps):
        def keep(self, rows, tensors):
            super().keep(rows, tensors)
            if len(rows) == 2:
                raise KeyboardInterrupt

    recipe = dataclasses.replace(SHORT.recipe, epochs=1)
    settings = {"strategy": strategy, "recipe": recipe, "networks": 2, "steps": 3}
    asked, facts = Reference(method, 2, 7), {"row": method}
    whole = gone_through(digits, asked, **settings)
    with pytest.raises(KeyboardInterrupt):
        gone_through(digits, asked, standing=Broken(Store(tmp_path), "x", facts), **settings)
    again = Steps(Store(tmp_path), "x", facts)
    assert again.done == 2
    assert gone_through(digits, asked, standing=again, **settings) == whole


# ------------------------------------------------------------------ the command


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("--buffer naive", "--buffer naive keeps no images, so --strategy retrain"),
        ("--buffer naive --strategy replay --ipc 5", "no images, whatever --ipc 5 says; leave"),
        ("--buffer joint --ipc 5", "--buffer joint keeps all images, whatever --ipc 5"),
        ("--buffer joint --sets 2", "all images, so --sets 2 has nothing to make anew; leave"),
        ("--buffer joint --method.power 2", "unknown flag '--method.power'"),
        ("--buffer reservoir --ipc 5000", "--ipc 5000 is more than the"),
        ("--buffer reservoir --sets 9", "--sets 9 cannot be spread over the 5 orders"),
        ("--buffer reservior", "unknown buffer 'reservior'.*did you mean reservoir"),
        ("--buffer joint --strategy replay --recipe idc", "--recipe idc is for --strategy retrain"),
    ],
)
def test_what_does_not_go_together_gets_one_line(args, says, fails, tmp_path, monkeypatch):
    monkeypatch.setattr(continual, "run", None)  # nothing begins
    error = fails(continual.main, [*args.split(), "--out", str(tmp_path)])
    assert error and re.search(says, error), error


def test_the_command_writes_each_row_and_what_it_stores(digits, tmp_path, capsys):
    for own in ("naive", "joint", "reservoir --ipc 2 --logger csv", "random --ipc 2"):
        args = [*own.split(), "--strategy", "replay", *BRIEF, "--out", str(tmp_path)]
        continual.main(["--buffer", *args])
    records = {r.cell.making.method: r for r in read([tmp_path / "records"])}
    assert {name: r.results.memory_bytes for name, r in records.items()} == {
        "naive": 0,
        "joint": 64 * len(digits.train),
        "reservoir": 64 * 20,
        "random": 64 * 20,
    }
    assert {r.results.classes for r in records.values()} == {10}
    own = records["reservoir"]
    assert own.cell.making.sets == len(own.sets) == 2 and own.sets[0].digest != own.sets[1].digest
    path = tmp_path / "records" / records["joint"].name
    assert path.name.startswith("continual-digits-joint-replay-") and read_one(path)
    assert len(list((tmp_path / "logs").rglob("eval_results.csv"))) == 2
    shown = capsys.readouterr().out.split("record: ")[-2]
    header = next(line for line in shown.splitlines() if line.startswith("| images per class"))
    assert [cell.strip() for cell in header.split("|")[2:6]] == [
        *"naive random reservoir joint".split()
    ]


def test_resnet10_runs_end_to_end(tmp_path, capsys):
    args = ["--network", "resnet10", "--epochs", "1", "--orders", "1", "--steps", "2"]
    continual.main(["--buffer", "random", *args, "--out", str(tmp_path)])
    (record,) = read([tmp_path / "records"])
    assert record.protocol.network.startswith("resnet10") and len(record.results.matrices[0]) == 3


# ------------------------------------------------------------------ the page


def test_the_bounds_stand_beside_every_size_with_their_paired_difference():
    naive, joint = (
        dataclasses.replace(r, cell=dataclasses.replace(r.cell, making=making), results=results)
        for r, making, results in (
            (
                r,
                dataclasses.replace(r.cell.making, ipc=0, sets=1),
                dataclasses.replace(r.results, classes=10),
            )
            for r in (continual_record("naive", drawn=5), continual_record("joint", drawn=6))
        )
    )
    sized = [continual_record("random", ipc, drawn=ipc) for ipc in (1, 5)]
    page = pages_of.pages([naive, *sized, joint], [])["continual-digits-2-steps-retrain"]
    final, minus = (table.frame for table in page.tables[:2])
    assert list(final) == ["images per class", "naive", "random", "joint"]
    assert final["images per class"].tolist() == [1, 5] and final["joint"].nunique() == 1
    for random, text in zip(sized, minus["joint"], strict=True):
        values = (np.array([r.value for r in runs(x, final_accuracy)]) for x in (joint, random))
        assert text.strip("*").startswith(f"{np.subtract(*values).mean():+.1f}".replace("-", "−"))
        pair = evidence.paired(
            runs(joint, final_accuracy, like=random), runs(random, final_accuracy)
        )
        assert pair.sets == 2, "over the sets of the other"
    whole = page.tables[-1].frame
    assert (
        whole["ipc"].tolist() == [0, 1, 5, "all"]
        and whole["n"].tolist()[0] == "8 (4 class orders × 2 networks)"
    )
    assert page.frame["ipc"].isna().tolist() == [False, False, False, True]
    assert set(page.drawings[""].frame.groupby("buffer").size()) == {4}
    caption = page.summary[0].caption
    assert "n = 8 (4 class orders × 2 networks, 2 sets); naive and joint have no sets:" in caption
    assert set(NAMES) & set(page.note.replace(":", " ").split()) == set(NAMES)


def by_memory(*records):
    pages = pages_of.pages(records, [])
    return pages.get("continual-digits-2-steps-retrain-by-memory")


def with_bytes(record, count):
    return dataclasses.replace(
        record, results=dataclasses.replace(record.results, memory_bytes=count)
    )


def test_three_sizes_of_a_buffer_make_a_curve_by_images_and_by_bytes():
    """A learned image takes the bytes of four real ones: each is compared with as many."""
    random = [continual_record("random", ipc, drawn=ipc) for ipc in (1, 2, 4)]
    ours = [
        with_bytes(continual_record("dm", ipc, drawn=9 + ipc, shift=40 / ipc), 4 * 640 * ipc)
        for ipc in (1, 2)
    ]
    assert by_memory(*random[:2], *ours) is None
    page = by_memory(*random, *ours)
    rows = page.frame.set_index(["buffer", "ipc"])
    for ipc, dm in zip((1, 2), ours, strict=True):
        same = evidence.paired(runs(dm, final_accuracy), runs(random[ipc - 1], final_accuracy))
        assert rows.loc[("dm", ipc), "images"] == pytest.approx(same.mean, abs=1e-3)
    equal = evidence.paired(runs(ours[0], final_accuracy), runs(random[2], final_accuracy))
    assert rows.loc[("dm", 1), "bytes"] == pytest.approx(equal.mean, abs=1e-3)
    assert rows.loc[("dm", 1), "bytes low"] == pytest.approx(equal.low, abs=1e-3)
    assert rows.loc[("dm", 2)].isna()["bytes"] and rows.loc[("random", 1)].isna()["images"]
    sides = page.tables[0].frame.set_index("at equal").loc["images"]
    at = ", ".join(str(sides[side]) for side in ("ahead", "nothing shown", "behind") if sides[side])
    assert sorted(at.split(", ")) == ["1", "2"]


def test_the_curve_has_both_axes_and_the_bounds_across():
    joint = continual_record("joint", drawn=6)
    making = dataclasses.replace(joint.cell.making, ipc=0, sets=1)
    joint = dataclasses.replace(
        joint,
        cell=dataclasses.replace(joint.cell, making=making),
        results=dataclasses.replace(joint.results, classes=10),
    )
    drawing = by_memory(*(continual_record("random", n) for n in (1, 5, 20)), joint).drawings[""]
    figure = drawing.draw(drawing.frame)
    (images, kilobytes), (difference, _) = (figure.axes[:2], figure.axes[2:])
    assert {axis.get_xscale() for axis in figure.axes} == {"log"}
    drawn = {line.get_label(): line for line in images.get_lines()}
    assert drawn["random"].get_xdata().tolist() == [1, 5, 20]
    assert drawn["joint"].get_linestyle() == "--" and len(set(drawn["joint"].get_ydata())) == 1
    assert kilobytes.get_lines()[0].get_xdata().tolist() == [0.62, 3.12, 12.5]
    assert [t.get_text() for t in difference.get_xticklabels()] == ["1", "2", "5", "10", "20"]
    plt.close(figure)


def test_a_buffer_of_one_size_lies_over_the_others():
    """Its mark stood behind that of a buffer of the same accuracy."""
    random = [continual_record("random", ipc) for ipc in (1, 5, 20)]
    drawing = by_memory(*random, continual_record("dsa", 1)).drawings[""]
    figure = drawing.draw(drawing.frame)
    for axis in (figure.axes[0], figure.axes[1]):
        drawn = {line.get_label(): line for line in axis.get_lines()}
        mark, line = drawn["dsa"], drawn["random"]
        assert mark.get_markersize() > line.get_markersize()
        assert mark.get_zorder() > line.get_zorder()
    plt.close(figure)


def test_the_curve_says_what_the_rows_of_a_reservoir_are_compared_with():
    random = [continual_record("random", ipc) for ipc in (1, 5, 20)]
    assert "reservoir" not in by_memory(*random).note
    note = by_memory(*random, continual_record("reservoir", 1)).note
    assert "reservoir: real images as random's" in note
