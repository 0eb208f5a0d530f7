"""Images that stay on the disk, what a run needs of it, and what is measured of many classes."""

import copy
import dataclasses
import hashlib
import io
import json
import os
import pickle
import re
import subprocess
import sys

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.cost import estimates
from benchmarks.cost.parts import scaling
from benchmarks.record import RESULTS
from distill import mapped
from distill.images import About, Data, ImageSet, Normalisation
from distill.methods import dm, random
from distill.plan import Plan, pieces_of
from distill.runtime.compute import CPU
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator
from distill.runtime.slices import Slices
from distill.runtime.store import Store
from distill.sets import disk
from distill.sets.beforehand import SetSource

NAMES = ("ant", "bee", "cat", "dog", "elk")
ABOUT = About("made-up", Normalisation.fixed(3), (3, 8, 8), NAMES)
COUNTS = {0: 7, 1: 5, 3: 6, 4: 9}


@pytest.fixture(scope="module")
def classes():
    """Of each class its images; there is none of class 2."""
    return {
        label: torch.randint(0, 256, (count, 3, 8, 8), generator=generator(0, label)).byte()
        for label, count in COUNTS.items()
    }


@pytest.fixture(scope="module")
def path(classes, tmp_path_factory):
    path = tmp_path_factory.mktemp("mapped") / "train.images"
    mapped.write(path, ABOUT, classes.items())
    return path


@pytest.fixture
def on_disk(path):
    return mapped.load(path, ABOUT)


@pytest.fixture(scope="module")
def in_memory(classes):
    labels = torch.tensor([label for label, own in classes.items() for _ in own])
    return ImageSet.sorted(ABOUT, torch.cat(list(classes.values())), labels)


def same(one, other):
    """Two sets of images in all that they show."""
    assert (len(one), one.present, one.shape, one.classes) == (
        *(len(other), other.present, other.shape, other.classes),
    )
    for name in ("images", "labels", "positions"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for label in range(len(one.classes)):
        assert torch.equal(one.of_class(label), other.of_class(label))
    assert one.digests() == other.digests()


@pytest.mark.parametrize("labels", [[0, 1, 3, 4], [1, 3], [4, 0], [3], [0, 2], [2], []], ids=str)
def test_images_on_the_disk_are_those_in_memory_whole_and_by_class(on_disk, in_memory, labels):
    one, other = on_disk.only(labels), in_memory.only(labels)
    if labels == [2] or not labels:
        assert len(one) == len(other) == 0 and one.present == other.present == []
        return
    same(one, other)


def test_a_part_of_every_class_is_the_same_on_the_disk(on_disk, in_memory):
    ours, theirs = (Data(real, real).validation() for real in (on_disk, in_memory))
    for one, other in zip(ours, theirs, strict=True):
        same(one, other)
    assert ours.digest() != Data(on_disk, on_disk).digest()


def test_normalisations_are_changed_without_reading(on_disk, in_memory):
    other = Normalisation((0.4, 0.5, 0.6), (0.2, 0.2, 0.2), "other")
    changed = on_disk.normalised_by(other)
    assert changed.normalisation is other and on_disk.normalisation is ABOUT.normalisation
    same(changed, in_memory.normalised_by(other))


def test_the_digest_sees_every_class_and_how_it_is_parted(on_disk, classes, tmp_path):
    darker = {**classes, 3: classes[3].clone()}
    darker[3][2, 1, 4, 5] ^= 1
    mapped.write(tmp_path / "darker", ABOUT, darker.items())
    other = mapped.load(tmp_path / "darker", ABOUT)
    first, last = on_disk.parted({0: 2, 4: 1})
    every = [on_disk, other, on_disk.only([0, 1, 3]), first, last]
    assert len({real.digest() for real in every}) == len(every)
    assert on_disk.digest() == mapped.load(on_disk.file.path, ABOUT).digest()


def test_a_class_is_a_view_of_the_file_and_so_are_classes_that_lie_together(on_disk, monkeypatch):
    views = []
    monkeypatch.setattr(
        Slices, "view", lambda self, rows, old=Slices.view: views.append(rows) or old(self, rows)
    )
    monkeypatch.setattr(torch, "cat", None)
    assert on_disk.of_class(3).shape == (6, 3, 8, 8)
    assert on_disk.only([1, 3]).images.shape == (11, 3, 8, 8)
    on_disk.only([0, 4])  # lie apart: nothing is read before all is asked for
    assert views == [range(12, 18), range(7, 18)]


def test_neighbouring_classes_in_memory_are_a_view_and_others_a_copy(in_memory):
    whole = in_memory.images.untyped_storage().data_ptr()
    for labels, view in (([1, 3], True), ([3], True), ([0, 1, 3, 4], True), ([0, 4], False)):
        part = in_memory.only(labels)
        assert (part.images.untyped_storage().data_ptr() == whole) is view
        assert part.labels.unique().tolist() == sorted(labels)


@pytest.mark.parametrize("method", ["datadam", "dm", "herding", "random"])
def test_a_set_distilled_from_the_disk_is_the_set_distilled_from_memory(
    method, on_disk, in_memory, make, tmp_path
):
    for labels in ([0, 1, 3, 4], [4, 1]):
        ours = make(method, on_disk.only(labels), 2, store=Store(tmp_path / "ours"))
        theirs = make(method, in_memory.only(labels), 2, store=Store(tmp_path / "theirs"))
        assert torch.equal(ours.images, theirs.images) and torch.equal(ours.labels, theirs.labels)
        assert ours.made.digests == theirs.made.digests
    names = [sorted(p.name for p in (tmp_path / n).iterdir()) for n in ("ours", "theirs")]
    assert names[0] == names[1]  # one identity


def test_images_on_the_disk_travel_to_another_process_by_name(on_disk, in_memory, tmp_path):
    part = on_disk.only([0, 3])
    assert part.images is not None  # what was put together does not travel
    content = pickle.dumps(part)
    assert len(content) < 3000
    same(pickle.loads(content), in_memory.only([0, 3]))
    copied = tmp_path / "again"
    mapped.write(copied, ABOUT, [(0, in_memory.of_class(0))])
    moved = pickle.dumps(mapped.load(copied, ABOUT))
    mapped.write(copied, ABOUT, [(0, in_memory.of_class(1))])
    with pytest.raises(Mistake, match="was made again while it was in use"):
        pickle.loads(moved)


def test_only_the_classes_in_use_are_read(path, classes, tmp_path):
    content = bytearray(path.read_bytes())
    content[20 * 192] ^= 1  # of class 4
    (tmp_path / "damaged").write_bytes(content)
    real = mapped.load(tmp_path / "damaged", ABOUT)
    assert torch.equal(real.only([0, 1, 3]).images, torch.cat([classes[c] for c in (0, 1, 3)]))
    real.only([4]).digests()
    for ask in (lambda: real.of_class(4), lambda: real.only([3, 4]).images, lambda: real.images):
        with pytest.raises(Mistake, match="class 'elk' is not what was written; make the file"):
            ask()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_in_one_line(path, classes, data, tmp_path_factory):
    content = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(["flip", "cut", "longer"]))
    place = data.draw(st.integers(0, len(content) - 1))
    if how == "flip":
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        content = content[:place] if how == "cut" else content + bytes(1 + place % 99)
    damaged = tmp_path_factory.getbasetemp() / "damaged"
    damaged.write_bytes(content)
    refused, right = 0, 0
    for label, own in classes.items():
        try:
            right += torch.equal(mapped.load(damaged, ABOUT).of_class(label), own)
        except Mistake as mistake:
            assert str(damaged) in str(mistake) and "\n" not in str(mistake)
            refused += 1
    assert refused + right == len(classes) and refused >= 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "other"}, "has another name"),
        ({"version": 2}, "has another version"),
        ({"shape": (3, 8, 9)}, "has another shape"),
        ({"classes": NAMES[:4]}, "has another classes|has other"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_of_another_dataset_is_refused(path, changes, says):
    with pytest.raises(Mistake, match=says):
        mapped.load(path, dataclasses.replace(ABOUT, **changes))


def test_what_the_facts_leave_open_the_file_says(path):
    real = mapped.load(path, dataclasses.replace(ABOUT, shape=None, classes=None))
    assert real.shape == (3, 8, 8) and real.classes == NAMES


@pytest.mark.parametrize(
    "held",
    [
        [[0, 1, "0" * 64]],
        [[1, 2, "0" * 64], [0, 1, "0" * 64]],
        [[7, 3, "0" * 64]],
        [[0, 3, "x"]],
        [[0, -1, "0" * 64], [1, 4, "0" * 64]],
        [[0, 3]],
        [["0", 3, "0" * 64]],
        3,
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(held, tmp_path):
    facts = {"name": "made-up", "version": 1, "classes": list(NAMES)}
    known = {"format": 1, "shape": [3, 8, 8], "held": held, "facts": facts}
    header = json.dumps(known).encode()
    end = f"slices {len(header):012} {hashlib.sha256(header).hexdigest()}\n".encode()
    (tmp_path / "lies").write_bytes(bytes(3 * 192) + header + end)
    with pytest.raises(Mistake, match="make it again"):
        mapped.load(tmp_path / "lies", ABOUT)


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(Mistake, match="is not there"):
        mapped.load(tmp_path / "none", ABOUT)
    with pytest.raises(Mistake, match="no whole file of images"):
        mapped.load(tmp_path, ABOUT)


def test_a_file_is_written_whole_or_not_at_all(classes, tmp_path):
    path = tmp_path / "train.images"
    mapped.write(path, ABOUT, [(0, classes[0])])
    before = path.read_bytes()

    def broken():
        yield 0, classes[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mapped.write(path, ABOUT, broken())
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["train.images"]
    with pytest.raises(AssertionError, match="ascending order"):
        mapped.write(path, ABOUT, [(1, classes[1]), (0, classes[0])])
    with pytest.raises(Mistake, match="cannot write"):
        mapped.write(path / "x", ABOUT, classes.items())
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["train.images"]


def test_black_classes_take_no_space_and_are_right(tmp_path):
    about = dataclasses.replace(ABOUT, shape=(3, 64, 64))
    black, white = torch.zeros(100, 3, 64, 64).byte(), torch.full((2, 3, 64, 64), 255).byte()
    path = tmp_path / "holes"
    mapped.write(path, about, [(0, black), (1, white), (4, black)])
    assert path.stat().st_size > 2 * black.numel() and path.stat().st_blocks * 512 < 200_000
    real = mapped.load(path, about)
    assert torch.equal(real.of_class(1), white) and torch.equal(real.of_class(4), black)


USE = """
import sys
from pathlib import Path
import torch
from benchmarks.cost.parts.scaling import Case, most
from benchmarks.cost.parts.memory import resident
from distill import mapped
from distill.plan import Plan, distill, pieces_of
from distill.methods import dm
from distill.runtime.compute import CPU
from distill.runtime.store import Store
real = mapped.load(Path(sys.argv[1]), Case(classes=25, images=1000).about)
plan = Plan("dm", dm.Config(network="convnet-d1-w2", networks=1, real_batch=8, iterations=1), 1)
distill(plan, real.only([0]), compute=CPU)
before = resident()
for label in real.present:
    distill(plan, real.only([label]), compute=CPU)
pieces_of(plan, real.only(real.present[::2]), CPU), real.digest()
print(before, most())
"""


def test_memory_is_bounded_by_the_classes_in_use(tmp_path):
    case = scaling.Case(classes=25, images=1000)  # 307 MB
    noise = torch.randint(0, 256, (1000, 3, 64, 64), generator=generator(0)).byte()
    mapped.write(tmp_path / "large", case.about, ((label, noise) for label in range(25)))
    assert (tmp_path / "large").stat().st_size > 300e6
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path / "large")], check=True, capture_output=True
    )
    before, most = map(float, done.stdout.split())
    assert most - before < 60, (before, most)  # a class takes 12


def test_the_space_that_a_run_needs_grows_with_what_it_keeps(in_memory):
    learned, chosen = Plan("dm", dm.Config(), 2), Plan("random", random.Config(), 2)
    pixels = 4 * 2 * 3 * 8 * 8 * 4  # classes, images a class, pixels, bytes of each
    needed = disk.bytes_needed(learned, in_memory)
    assert needed - disk.bytes_needed(chosen, in_memory) == 3 * (pixels + 4 * disk.A_FILE)
    assert disk.bytes_needed(learned, in_memory, sets=3) - needed == 10 * (pixels + 4 * disk.A_FILE)


def test_a_real_run_takes_no_more_than_was_estimated(in_memory, make, tmp_path, monkeypatch):
    monkeypatch.setattr("distill.checkpoints.EVERY", 0)
    small = make("dm", in_memory, 2, store=Store(tmp_path))
    small.save(tmp_path / "set.safetensors")
    taken = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert taken <= disk.bytes_needed(Plan("dm", dm.Config(), 2), in_memory) - disk.RECORDS


def test_a_run_that_the_disk_cannot_hold_is_refused_and_what_is_there_of_it_counts(
    in_memory, make, tmp_path, monkeypatch
):
    plan, source = Plan("dm", dm.Config(), 2), SetSource(in_memory, CPU, tmp_path / "sets")
    free = disk.bytes_needed(plan, in_memory) - 1
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("distill.runtime.files.shutil.disk_usage", lambda folder: usage)
    monkeypatch.setattr("distill.checkpoints.EVERY", 0)
    wanted = [(plan, in_memory.present)]
    with pytest.raises(Mistake, match="1 set of 4 classes.*MB"):
        disk.require(tmp_path, wanted, source)
    # Checkpoints and finished classes of another seed, and of other settings, are no part of it.
    make("dm", in_memory, 2, seed=1, store=Store(source.sets))
    make("dm", in_memory, 2, iterations=3, store=Store(source.sets))
    with pytest.raises(Mistake, match="1 set of 4 classes.*MB"):
        disk.require(tmp_path, wanted, source)
    mine = make("random", in_memory, 2)
    place = pieces_of(plan, in_memory, CPU)[0]
    Store(source.sets).put(place.name, "set", place.facts, mine.tensors(), mine.facts())
    disk.require(tmp_path, wanted, source)


ROW = {"s": 1.0, "core s": 1.0, "GFLOP": 1.0, "MB before": 1, "MB at most": 1}
TINY = scaling.Case(classes=4, images=50, pixels=8, ipc=2, times=2)


def test_a_case_is_measured_on_classes_that_hold_noise(tmp_path):
    case = dataclasses.replace(TINY, together=2, processes=2)
    path = scaling.made_up(case, tmp_path)
    real = mapped.load(path, case.about)
    assert len(real) == 200 and all(real.of_class(c).any() for c in range(4))
    row = scaling.measured(case, path)
    assert 0 < row["s"] < 60 and 0 < row["core s"] < 60
    assert 0 < row["MB before"] <= row["MB at most"]
    assert list(row) == list(ROW)


@pytest.mark.parametrize("work", [scaling.PAPER, scaling.LAPTOP, scaling.TARGET, scaling.TRAINING])
def test_every_kind_of_step_is_timed_as_often_as_asked(work, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.stdin", io.StringIO("go\n"))
    monkeypatch.setattr(scaling, "BATCH", 10)
    case = dataclasses.replace(TINY, work=work)
    own = scaling.one(case, scaling.made_up(case, tmp_path), 0)
    assert len(own["seconds"]) == len(own["cores"]) == 2 and min(own["cores"]) > 0
    assert capsys.readouterr().out == "ready\n"


def test_the_arithmetic_of_a_paper_step_is_real_forward_and_synthetic_both_ways():
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.cost import work
    from distill.runtime.compute import Compute

    case = scaling.Case(pixels=16, ipc=2, classes=4)
    config = case.config()
    size = work.MatchingSize(case.about.shape, config.network, 1, case.ipc, config.real_batch)
    step = work.step(size, Compute(threads=1, compile="never"))
    with FlopCounterMode(display=False) as counter:
        step()
    counts = counter.get_flop_counts()["Global"]
    convolutions = sum(n for name, n in counts.items() if "conv" in str(name)) / 1e9
    assert case.gflop() == pytest.approx(convolutions, rel=0.1)


def test_one_thing_is_varied_at_a_time():
    base = scaling.Case(classes=1000, images=1300, times=3)
    for field, case in scaling.cases(1000, 1300, 3):
        changed = {
            f.name
            for f in dataclasses.fields(case)
            if getattr(case, f.name) != getattr(base, f.name)
        }
        assert changed <= {field, "work"}
    values = {case.classes for field, case in scaling.cases(1000, 1300, 3) if field == "classes"}
    assert values == {10, 100, 1000}


def test_an_estimate_is_the_steps_measured_times_their_number():
    rows = []
    for work, core, gflop in (
        (scaling.PAPER, 2.0, 100.0),
        (scaling.LAPTOP, 0.5, 10.0),
        (scaling.TARGET, 0.1, 5.0),
        (scaling.TRAINING, 4.0, 300.0),
    ):
        for count, share in ((1, 1.0), (2, 1.6)):
            rows.append(
                {
                    "work": work,
                    "varied": "processes",
                    "count": count,
                    "s": core / share,
                    "core s": core * (1.25 if count == 2 else 1),
                    "GFLOP": gflop,
                }
            )
    others = [{**rows[0], "varied": "pixels along a side", "core s": 99.0}]
    paper, laptop, networks = estimates.whole(pd.DataFrame(rows + others)).to_dict("records")
    assert paper["hours, 1 core"] == pytest.approx(8000 * 1000 * 2 / 3600)
    assert paper["speed-up on 2 cores"] == pytest.approx(1.6)
    assert paper["hours, 2 cores"] == pytest.approx(8000 * 500 * 2 / 3600 * 1.25)
    assert paper["hours, 64 cores"] == pytest.approx(8000 * 16 * 2 / 3600 * 1.25)
    assert paper["PFLOP"] == pytest.approx(8000 * 1000 * 100 * 1e9 / 1e15)
    gpu = 8000 * 1000 * 100e9 / (estimates.GPU * 1e12) / 3600
    assert paper["hours, 1 GPU (assumed)"] == pytest.approx(gpu)
    assert paper["hours, 8 GPUs (assumed)"] == pytest.approx(gpu / 8)
    assert laptop["hours, 1 core"] == pytest.approx(1000 * (1000 * 0.5 + 128 * 0.1) / 3600)
    once = 1000 * 50_000 / 250 * 4 / 3600
    assert networks["hours, 1 core"] == pytest.approx(5 * once)
    assert networks["hours, 64 cores"] == pytest.approx(once * 1.25)


def test_the_page_on_scaling_shows_the_tables_of_its_record():
    """Of the committed record; before there is one, tables of the same columns."""
    root = RESULTS.parent
    text = (root / "docs" / "scaling.md").read_text()
    name = "cost-scaling-cpu-2-threads"
    (shown,) = re.findall(rf"<!-- table {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    page = RESULTS / "tables" / f"{name}.md"
    if page.exists():
        assert shown in page.read_text()
    columns = [line for line in shown.splitlines() if line.startswith("| work")]
    frame = pd.DataFrame([{"work": "", "varied": "", "count": 1} | ROW])
    assert [c.strip() for c in columns[0].strip("|").split("|")] == list(frame.columns)
    assert f"| {scaling.PAPER}" in shown and len(columns) == 2


def test_copies_of_a_set_share_the_file(on_disk):
    assert torch.equal(copy.deepcopy(on_disk).of_class(1), on_disk.of_class(1))
    assert re.match(r"ImageSet\(made-up, 4 classes, images 27x3x8x8\)", repr(on_disk))
