"""The commands as a person types them: what they print and write, and what a mistake gets."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.classification import __main__ as classification
from benchmarks.continual import __main__ as continual
from benchmarks.record import read
from distill import __main__ as distill_command
from distill.datasets import digits as digits_file
from distill.images import Data, ImageSet
from distill.plan import Plan, distill
from distill.runtime import registry
from distill.runtime.early import LINE
from distill.runtime.seeding import derive, generator
from distill.runtime.store import Store
from distill.synthetic import SyntheticSet
from downstream.continual import protocol

from conftest import eventually, hear_ctrl_c, of_session, write_tree

ROOT = Path(__file__).parent.parent
LABEL = "datadam iterations=4 network=convnet-d3-w8-instance-relu-avg networks=2"
QUICK = ["--method.iterations", "4", "--method.networks", "2", "--method.network", "convnet-w8"]
SMALL = ["--steps", "2", "--network", "convnet-d2-w8"]
CLASSIFY = ["--sets", "2", "--networks", "2", "--network", "convnet-w8", "--epochs", "3"]


def but(args, **values):
    """The arguments, with other values for flags that are among them."""
    changed = list(args)
    for flag, value in values.items():
        changed[changed.index(f"--{flag}") + 1] = value
    return changed


def briefly(monkeypatch):
    """Every class-incremental protocol with two epochs a step: there is no flag for that."""
    whole = protocol.preset

    def preset(name, about, **given):
        usual = whole(name, about, **given)
        return dataclasses.replace(usual, recipe=dataclasses.replace(usual.recipe, epochs=2))

    monkeypatch.setattr(protocol, "preset", preset)


@pytest.fixture
def brief(monkeypatch):
    briefly(monkeypatch)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the records of two buffers, made by the command itself."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as monkeypatch:
        briefly(monkeypatch)
        for own in (["random"], ["datadam", *QUICK]):
            args = ["--buffer", *own, *SMALL, "--orders", "3", "--sets", "2", "--out", str(out)]
            continual.main(args)
    return out


def record_of(out, kind="continual", method=None):
    """The one record of that kind and method in a folder."""
    records = [r for r in read([out / "records"]) if r.kind == kind]
    (record,) = [r for r in records if method in (None, r.cell.making.method)]
    return record


def test_distill_makes_and_saves_a_set(tmp_path, capsys):
    out = tmp_path / "set.safetensors"
    args = ["--method", "datadam", "--ipc", "2", "--seed", "3", "--out", str(out), *QUICK]
    distill_command.main([*args, "--export", str(tmp_path / "pictures")])
    small = SyntheticSet.load(out)
    assert len(small) == 20 and small.made.seed == 3 and small.made.config["iterations"] == 4
    assert small.made.normalisation["source"] == "digits train" and small.made.seconds > 0
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 20
    printed = capsys.readouterr()
    assert str(out) in printed.out and f"{out}.png" in printed.out
    assert (tmp_path / "set.safetensors.png").read_bytes().startswith(b"\x89PNG")


def test_distill_with_zca_says_so(tmp_path):
    out = tmp_path / "set.safetensors"
    distill_command.main(["--zca", "--out", str(out), *QUICK])
    normalisation = SyntheticSet.load(out).made.normalisation
    assert normalisation["zca"] == 0.1 and "ZCA on digits train" in normalisation["source"]


def test_continual_writes_a_record_with_all_that_made_it(runs):
    record = record_of(runs, method="datadam")
    assert record.protocol.dataset.name == "digits" and record.protocol.strategy == "retrain"
    assert record.protocol.network == "convnet-d2-w8-instance-relu-avg"
    assert "flip" not in record.protocol.recipe.operations
    config = record.cell.making.config
    assert (config["iterations"], config["networks"]) == (4, 2)
    assert record.label == LABEL
    matrices = record.results.matrices
    assert [len(own) for own in matrices] == [3, 3, 3], "orders x networks"
    assert all(m[0][1] is None and 0 <= m[1][1] <= 100 for own in matrices for m in own)
    assert [sum(sizes) for sizes in record.results.sizes] == [596] * 3, "all test images"
    assert record.provenance.command.startswith("python -m benchmarks.continual --buffer datadam")
    assert record.provenance.versions["torch"] == torch.__version__.split("+")[0]
    assert record.results.memory_bytes == 10 * 64 * 4 and record.cost.peak_mb > 100
    assert record.cost.seconds.keys() == {"start", "distill", "train"}


@pytest.mark.parametrize("method", ["random", "datadam"])
def test_a_record_names_its_sets_with_digests_and_seconds(runs, method, digits):
    """They are those that lie in OUT/sets, and that the seeds named make again."""
    record = record_of(runs, method=method)
    assert [used.seed for used in record.sets] == [derive(0, "set", number) for number in range(2)]
    config = registry.load("distill.methods", method).Config(**record.cell.making.config)
    before = sorted(path.name for path in (runs / "sets").iterdir())
    for used in record.sets:
        plan = Plan(method, config, 1, used.seed)
        kept = distill(plan, digits.train, store=Store(runs / "sets"))
        assert (used.digest, used.images, used.bytes) == (kept.digest(), 10, kept.stored_bytes)
        assert used.seconds == pytest.approx(kept.made.seconds, abs=1e-3)
        assert used.seconds > 0 or method == "random"  # less than half a millisecond
        again = distill(plan, digits.train)
        torch.testing.assert_close(kept.images, again.images, rtol=0, atol=1e-4)
    assert sorted(path.name for path in (runs / "sets").iterdir()) == before
    assert record.sets[0].digest != record.sets[1].digest


def test_a_second_run_finds_its_sets_and_gives_the_same_record(runs, brief):
    before = record_of(runs, method="datadam")
    files = {path: path.stat().st_mtime_ns for path in (runs / "sets").iterdir()}
    continual.main(
        ["--buffer", "datadam", *QUICK, *SMALL, "--orders", "3", "--sets", "2", "--out", str(runs)]
    )
    again = record_of(runs, method="datadam")
    assert again.results == before.results and again.sets == before.sets
    assert (again.key, again.name) == (before.key, before.name)
    assert {path: path.stat().st_mtime_ns for path in (runs / "sets").iterdir()} == files
    assert again.provenance != before.provenance


def test_an_order_uses_the_set_of_its_number_modulo_the_sets(runs, brief, tmp_path):
    matrices = {}
    for sets in (1, 3):
        out = tmp_path / str(sets)
        args = ["--buffer", "random", *SMALL, "--orders", "3", "--sets", str(sets)]
        continual.main([*args, "--out", str(out)])
        matrices[sets] = record_of(out).results.matrices
    matrices[2] = record_of(runs, method="random").results.matrices
    assert matrices[1][0] == matrices[2][0] == matrices[3][0], "set 0"
    assert matrices[1][1] != matrices[2][1] == matrices[3][1], "set 0, then 1 and 1"
    assert matrices[1][2] == matrices[2][2] != matrices[3][2], "set 0 and 0, then 2"


def rows_of(printed):
    return [line for line in printed.splitlines() if line.startswith("|")]


def test_continual_shows_its_own_row_beside_those_of_the_same_protocol(runs, brief, capsys):
    args = ["--buffer", "random", *SMALL, "--orders", "3", "--out", str(runs)]
    continual.main([*args, "--sets", "2"])
    printed = capsys.readouterr().out
    marked = [row for row in rows_of(printed) if row.startswith("| ->")]
    assert len(marked) == 1 and " random " in marked[0]
    assert " 9 (3 class orders × 3 networks, 2 sets) " in marked[0]
    others = [row for row in rows_of(printed) if row.startswith("|    |")]
    assert any(f" {LABEL} " in row for row in others)
    record = record_of(runs, method="random")
    assert f"record: {runs / 'records' / record.name}" in printed
    figure = Path(printed.split("figure: ")[1].strip())
    assert figure.parent == runs / "figures" and figure.read_bytes().startswith(b"\x89PNG")


def test_the_mark_stands_by_the_key_where_two_rows_share_a_label(brief, tmp_path, capsys):
    args = ["--buffer", "random", *SMALL, "--out", str(tmp_path)]
    continual.main([*args, "--orders", "2"])
    capsys.readouterr()
    continual.main([*args, "--orders", "1"])
    rows = [
        row for row in rows_of(capsys.readouterr().out) if " set" in row and "images per" not in row
    ]
    assert sorted(row[:5] for row in rows) == ["|    ", "| -> "]
    (marked,) = [row for row in rows if row.startswith("| ->")]
    assert "orders=1" in marked and "sets=1" in marked and " 3 (1 set × 3 networks) " in marked


def test_what_was_run_otherwise_is_not_shown(runs, brief, capsys):
    continual.main(["--buffer", "random", *but(SMALL, steps="1"), "--out", str(runs)])
    printed = capsys.readouterr().out
    assert len(rows_of(printed)) == 6 and "digits, 1 steps, retrain" in printed
    assert LABEL not in printed
    (record,) = [r for r in read([runs / "records"]) if r.protocol.steps == 1]
    (runs / "records" / record.name).unlink()


def test_a_logger_writes_for_every_order(brief, tmp_path):
    args = ["--buffer", "random", *SMALL, "--orders", "2", "--out", str(tmp_path)]
    continual.main([*args, "--logger", "csv"])
    written = {path.parent: path.read_text() for path in tmp_path.rglob("eval_results.csv")}
    assert sorted(folder.name for folder in written) == ["order0", "order1"]
    assert all(folder.is_relative_to(tmp_path / "logs") for folder in written)
    assert all(len(text.splitlines()) > 2 for text in written.values())
    continual.main([*args, "--logger", "csv", "--ipc", "2"])
    assert {folder: (folder / "eval_results.csv").read_text() for folder in written} == written


def test_classification_writes_a_record_and_shows_it(tmp_path, capsys):
    classification.main(["--method", "random", *CLASSIFY, "--out", str(tmp_path)])
    record = record_of(tmp_path, "classification")
    accuracies = record.results.accuracies
    assert [len(own) for own in accuracies] == [2, 2]
    assert record.protocol.recipe.epochs == 3 and record.protocol.normalisation["zca"] is None
    assert [used.seed for used in record.sets] == [derive(0, "set", n) for n in range(2)]
    printed = capsys.readouterr().out
    mean = sum(a for own in accuracies for a in own) / 4
    (row,) = [row for row in rows_of(printed) if row.startswith("| ->")]
    assert f" {mean:.1f} [" in row and " 4 (2 sets × 2 networks) " in row
    assert f"record: {tmp_path / 'records' / record.name}" in printed


@pytest.mark.parametrize(
    ("flags", "batch", "epochs"), [(["--epochs", "2"], 64, 2), ([], 64, 1000)], ids=["own", "its"]
)
def test_a_recipe_by_name_stands_in_the_record_and_the_title(
    flags, batch, epochs, monkeypatch, tmp_path, capsys
):
    if not flags:  # the thousand epochs themselves would take too long
        monkeypatch.setattr("distill.training.train.fit", lambda *given, **also: None)
    own = [flag for flag in CLASSIFY if flag not in ("--epochs", "3")]
    classification.main(
        ["--method", "random", "--recipe", "idc", *own, *flags, "--out", str(tmp_path)]
    )
    recipe = record_of(tmp_path, "classification").protocol.recipe
    assert (recipe.cutmix, recipe.batch, recipe.epochs) == (0.5, batch, epochs)
    said = "recipe idc (1000 epochs)" if epochs == 1000 else "recipe idc, 2 epochs"
    assert said in capsys.readouterr().out


def test_the_same_seed_gives_the_same_record_and_another_does_not(tmp_path):
    results = []
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        args = ["--method", "random", *CLASSIFY, "--seed", seed, "--out", str(tmp_path / name)]
        classification.main(args)
        results.append(record_of(tmp_path / name, "classification"))
    assert results[0].results == results[1].results != results[2].results
    digests = [{used.digest for used in record.sets} for record in results]
    assert digests[0] == digests[1] and not digests[0] & digests[2]


@pytest.mark.parametrize("kind", ["classification", "continual"])
def test_the_record_is_the_same_on_any_number_of_processes(kind, brief, tmp_path, capsys):
    main, args = {
        "classification": (classification.main, ["--method", "datadam", *QUICK, *CLASSIFY]),
        "continual": (continual.main, ["--buffer", "datadam", *QUICK, *SMALL, "--orders", "2"]),
    }[kind]
    records = {}
    for workers in ("1", "2"):
        main([*args, "--workers", workers, "--out", str(tmp_path / workers)])
        records[workers] = record_of(tmp_path / workers, kind)
        processes = "2 processes, one thread each" in capsys.readouterr().err
        assert processes == (workers == "2")
    one, two = records.values()
    assert (one.results, one.key, one.name) == (two.results, two.key, two.name)
    assert [used.digest for used in one.sets] == [used.digest for used in two.sets]
    assert one.cost.seconds.keys() == two.cost.seconds.keys()


def test_large_images_are_trained_on_one_network_a_job(tmp_path, monkeypatch):
    """And give, to rounding, what they give together; small ones stay together, bit for bit."""
    root = write_tree(tmp_path / "pets", count=4)
    accuracies = {}
    for most in (16, 32):
        monkeypatch.setattr("benchmarks.classification.run.SMALL", most)
        args = ["--dataset", "folder", "--data-root", str(root), "--image-size", "20"]
        args += but(CLASSIFY, epochs="1")
        out = tmp_path / str(most)
        classification.main(["--method", "random", *args, "--out", str(out)])
        accuracies[most] = record_of(out, "classification").results.accuracies
    assert accuracies[16] == accuracies[32] and [len(own) for own in accuracies[16]] == [2, 2]


def test_more_sets_and_networks_leave_the_first_as_they_were(tmp_path):
    args = ["--method", "random", *CLASSIFY, "--out", str(tmp_path)]
    classification.main(args)
    few = record_of(tmp_path, "classification").results.accuracies
    classification.main(but(args, sets="3", networks="3", out=str(tmp_path / "more")))
    more = record_of(tmp_path / "more", "classification").results.accuracies
    assert [own[:2] for own in more[:2]] == few


def test_classification_with_zca_trains_on_whitened_images(tmp_path):
    args = ["--method", "random", "--zca", *CLASSIFY, "--out", str(tmp_path)]
    classification.main(args)
    normalisation = record_of(tmp_path, "classification").protocol.normalisation
    assert normalisation["zca"] == 0.1 and "ZCA on digits train" in normalisation["source"]


def noisy_test_images(monkeypatch):
    """The digits with noise in the place of the test images."""
    load = digits_file.load

    def noisy(root, about):
        train, test = load(root, about)
        noise = torch.randint(256, test.images.shape, generator=generator(0, "noise"))
        return Data(train, dataclasses.replace(test, images=noise.to(torch.uint8)))

    monkeypatch.setattr(digits_file, "load", noisy)


@pytest.mark.parametrize(
    ("main", "args"),
    [
        (continual.main, ["--buffer", "datadam", *QUICK, *SMALL, "--orders", "1"]),
        (classification.main, ["--method", "datadam", *QUICK, "--zca", *but(CLASSIFY, sets="1")]),
    ],
    ids=["continual", "classification"],
)
def test_a_run_judged_on_validation_never_touches_a_test_image(
    main, args, brief, monkeypatch, tmp_path
):
    records = {}
    for images in ("real", "noise"):
        if images == "noise":
            noisy_test_images(monkeypatch)
        for judge in ("validation", "test"):
            out = tmp_path / images / judge
            main([*args, "--judge", judge, "--out", str(out)])
            (records[images, judge],) = read([out / "records"])
    real, noise = records["real", "validation"], records["noise", "validation"]
    assert real.results == noise.results and real.key == noise.key
    assert [used.digest for used in real.sets] == [used.digest for used in noise.sets]
    assert records["real", "test"].results != records["noise", "test"].results
    assert real.protocol.dataset.judged_on == "validation"


def test_the_validation_images_are_a_part_of_the_training_images(digits):
    halves = digits.validation()
    assert len(halves.train) + len(halves.test) == len(digits.train)

    def pictures(images: ImageSet) -> set[bytes]:
        return {image.numpy().tobytes() for image in images.images}

    assert not pictures(halves.test) & pictures(digits.test)
    assert pictures(halves.test) <= pictures(digits.train)


def test_the_paper_presets_run_for_a_step(brief, tmp_path):
    step, out = ["--preset", "paper", "--method.iterations", "1"], ["--out", str(tmp_path)]
    step += ["--compile", "never"]  # which would take longest
    one = ["--epochs", "1", "--sets", "1", "--networks", "1"]
    classification.main([*step, *one, *out])
    record = record_of(tmp_path, "classification")
    assert record.label == "datadam paper iterations=1"
    assert record.protocol.network == "convnet-d3-w128-instance-relu-avg"
    continual.main(["--buffer", "dm", *step, "--steps", "1", "--orders", "1", *out])
    record = record_of(tmp_path, "continual")
    assert record.protocol.network == "convnet-d3-w128-instance-relu-avg"
    assert len(record.sets) == 1, "as published: one set for all orders"
    distill_command.main([*step, "--out", str(tmp_path / "set.safetensors")])
    config = SyntheticSet.load(tmp_path / "set.safetensors").made.config
    assert config["network"] == "convnet-d3-w128-instance-relu-avg" and config["networks"] == 0


def test_a_folder_of_pictures_runs_end_to_end(brief, tmp_path, capsys):
    root = write_tree(tmp_path / "pets", ("cat", "dog", "eel"), count=4)
    args = ["--dataset", "folder", "--data-root", str(root), "--image-size", "8", "--steps", "3"]
    args += ["--orders", "1", "--network", "convnet-w8", "--out", str(tmp_path / "runs")]
    continual.main(["--buffer", "herding", "--strategy", "replay", *args])
    assert "folder-pets, 3 steps, replay" in capsys.readouterr().out


def test_a_folder_without_test_pictures_serves_all_but_those_who_judge_on_them(tmp_path, fails):
    root = write_tree(tmp_path / "pets")
    shutil.rmtree(root / "test")
    args = ["--dataset", "folder", "--data-root", str(root), "--image-size", "8"]
    path = tmp_path / "set.safetensors"
    distill_command.main(["--method", "random", *args, "--out", str(path)])
    assert SyntheticSet.load(path).classes == ("cat", "dog")
    args += ["--out", str(tmp_path / "runs"), "--network", "convnet-w8", "--epochs", "1"]
    for main in (continual.main, classification.main):
        error = fails(main, args)
        assert re.search("pets holds train but no folder test; put pictures to judge", error)
    few = ["--method", "random", "--sets", "1", "--networks", "1", "--judge", "validation"]
    classification.main([*few, *args])
    assert len(list((tmp_path / "runs" / "records").iterdir())) == 1


def test_ctrl_c_ends_the_command_and_its_processes(tmp_path):
    args = ["--method", "random", "--sets", "2", "--networks", "1", "--workers", "2"]
    command = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.classification", *args, "--out", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )
    assert command.stderr.readline() == "2 processes, one thread each\n"
    assert eventually(lambda: len(of_session(command.pid)) == 4)
    os.killpg(command.pid, signal.SIGINT)
    printed, said = command.communicate(timeout=20)
    assert (command.returncode, printed, said) == (130, "", f"{LINE}\n")
    assert eventually(lambda: not of_session(command.pid))
    assert not list((tmp_path / "records").iterdir())
