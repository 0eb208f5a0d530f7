"""`python -m benchmarks.nas` as a person types it."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import contents
from benchmarks.nas.__main__ import main, prepare
from benchmarks.nas.flags import Nas
from benchmarks.record import RESULTS, read, read_one
from distill.runtime import identity
from distill.runtime.flags import parse
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import derive
from downstream.nas import guard, space

from conftest import write_tree

ROOT = Path(__file__).parent.parent
SMALL = ["--networks", "4", "--epochs", "2", "--ipc", "2"]
QUICK = ["--method.iterations", "4", "--method.networks", "2", "--method.network", "convnet-w8"]
QUICK += ["--method.formation", "2"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the records of four proxies over four networks."""
    out = tmp_path_factory.mktemp("runs")
    main(["--proxy", "whole", "--networks", "4", "--out", str(out)])
    for args in (["distilled", *QUICK, *SMALL], ["early-stopping", *SMALL]):
        main(["--proxy", *args, "--out", str(out)])
    main(["--proxy", "flops", "--networks", "4", "--out", str(out)])
    return out


def record_of(runs, proxy):
    (record,) = [r for r in read([runs / "records"]) if r.cell.proxy == proxy]
    return record


def truth_of(runs):
    (path,) = (runs / "records").glob("*-whole-*.json")
    return path


def test_a_record_holds_all_that_made_it(runs):
    record = record_of(runs, "datadam")
    assert record.protocol.networks == 4 and record.protocol.trials is None
    assert record.protocol.truth["recipe"]["epochs"] == 20 and record.protocol.truth["seed"] == 0
    making = record.cell.making
    assert making.config["iterations"] == 4 and (making.ipc, making.sets) == (2, 1)
    assert record.cell.recipe.epochs == 2 and "flip" not in record.cell.recipe.operations
    (used,) = record.sets
    assert used.seed == derive(0, "set", 0) and used.images == record.results.images == 20
    assert used.bytes == record.results.bytes == 20 * 64 * 4
    assert record.cost.seconds["distill"] == pytest.approx(used.seconds, abs=0.01) != 0
    results = record.results
    assert results.names == [str(spec) for spec in space.sample("laptop", 4)]
    assert results.truth == record_of(runs, "whole").results.scores
    assert all(0 <= score <= 100 for score in results.scores) and results.failed == {}
    assert all(seconds > 0 for seconds in results.seconds)


def test_trials_on_a_formed_set_see_its_decoded_images(runs):
    record = record_of(runs, "datadam")
    assert record.cell.steps == 2 * -(-20 * 4 // 64)
    assert [steps for steps, _ in record.results.looks[0]] == [1, 2, 4]


def test_the_early_stopped_dataset_and_the_whole(runs):
    early, whole = record_of(runs, "early-stopping"), record_of(runs, "whole")
    assert early.cell.steps == 2 and whole.cell.steps == 20 * 19
    assert early.results.images == whole.results.images == 1201
    assert whole.results.scores == whole.results.truth
    assert early.cell.making is whole.cell.making is None and early.sets == whole.sets == []


def test_the_size_of_a_network_is_ranked_without_a_trial(runs):
    record = record_of(runs, "flops")
    assert record.results.scores == record.results.flops
    assert record.results.truth == record_of(runs, "whole").results.truth
    assert record.results.seconds == [None] * 4 and record.results.looks == [[]] * 4
    assert record.protocol_key == record_of(runs, "datadam").protocol_key
    assert not list((runs / "trials").glob("*flops*"))


@pytest.mark.parametrize("proxy", ["synflow", "jacob_cov"])
def test_a_score_of_random_weights_is_ranked_without_a_trial(proxy, runs, tmp_path, capsys):
    main(
        [
            "--proxy",
            proxy,
            "--networks",
            "4",
            "--out",
            str(tmp_path),
            "--truth",
            str(truth_of(runs)),
        ]
    )
    assert "4 networks to score, none is trained" in capsys.readouterr().err
    (record,) = read([tmp_path / "records"])
    assert record.cell.scoring.images == 64 and record.cell.recipe is record.cell.steps is None
    assert len(set(record.results.scores)) == 4 and record.results.failed == {}
    assert all(seconds > 0 for seconds in record.results.seconds)
    assert record.protocol_key == record_of(runs, "whole").protocol_key


def test_the_table_shows_the_cell_beside_the_others(runs, capsys):
    before = psutil.Process().children(recursive=True)
    main(["--proxy", "early-stopping", *SMALL, "--out", str(runs)])
    printed = capsys.readouterr()
    assert psutil.Process().children(recursive=True) == before
    assert guard.listening(psutil.Process()) == set()
    assert "done already" in printed.err and "loading NNI" not in printed.err
    rows = [line for line in printed.out.splitlines() if line.startswith("| ->")]
    assert len(rows) == 3 and all(" early-stopping " in row for row in rows)
    network = "convnet-d3-w8-instance-relu-avg"
    label = f"datadam formation=2 iterations=4 network={network} networks=2 ipc=2"
    assert printed.out.count(f" {label} ") == 3
    figures = re.findall(r"figure: (\S+)", printed.out)
    assert len(figures) == 3 and all(Path(figure).exists() for figure in figures)


def test_the_pages_of_results_take_these_records(runs, tmp_path):
    results = tmp_path / "results"
    (results / "records").mkdir(parents=True)
    (results / "reported.csv").write_bytes((RESULTS / "reported.csv").read_bytes())
    for record in read([runs / "records"]):  # as if all code were committed
        begun = dataclasses.replace(record.provenance, commit="a" * 40, clean=True)
        dataclasses.replace(record, provenance=begun).write(results / "records")
    contents.Contents(results).regenerate()
    page = (results / "tables" / "nas-digits-4-networks.md").read_text()
    assert "Spearman, top 20 %" in page and "python -m benchmarks.nas --proxy flops" in page
    assert contents.Contents(results).stale() == []


def test_another_seed_of_the_whole_dataset_has_the_ground_truth_of_the_first(runs, tmp_path):
    args = ["--proxy", "whole", "--networks", "2", "--seed", "1", "--out", str(tmp_path)]
    main([*args, "--truth", str(truth_of(runs))])
    (ceiling,) = read([tmp_path / "records"])
    assert ceiling.results.truth == record_of(runs, "whole").results.scores[:2]
    assert ceiling.results.scores != ceiling.results.truth
    assert ceiling.protocol.truth == record_of(runs, "whole").protocol.truth


def pets(folder):
    """The flags for a small folder of pictures."""
    root = write_tree(folder / "pets", ("cat", "dog", "eel"), count=4)
    return ["--dataset", "folder", "--data-root", str(root), "--image-size", "8", "--ipc", "1"]


def test_a_search_trains_its_best_five_on_the_whole_dataset(tmp_path):
    args = [*pets(tmp_path), "--proxy", "random", "--epochs", "1", "--trials", "7"]
    main([*args, "--strategy", "evolution", "--out", str(tmp_path)])
    (record,) = read([tmp_path / "records"])
    assert record.protocol.trials == 7 and record.protocol.networks is None
    pairs = list(zip(record.results.scores, record.results.truth, strict=True))
    best = [score for score, truth in pairs if truth is not None]
    others = [score for score, truth in pairs if truth is None]
    assert (len(best), len(others)) == (5, 2) and min(best) >= max(others)


def rewritten(path, folder, **truth):
    """The record at `path` as a run under another protocol would have written it."""
    content = json.loads(path.read_text())
    content.pop("digest")
    content["protocol"]["truth"] |= truth
    text = json.dumps(content, sort_keys=True)
    copy = folder / "other.json"
    copy.write_text(json.dumps({**content, "digest": identity.digest(text.encode())}))
    return str(copy)


def test_a_ground_truth_of_other_trials_is_refused_with_the_first_difference(runs, tmp_path, fails):
    args = [*SMALL, "--proxy", "random", "--out", str(tmp_path / "out"), "--truth"]
    recipe = read_one(truth_of(runs)).protocol.truth["recipe"]
    other = rewritten(truth_of(runs), tmp_path, recipe={**recipe, "epochs": 9})
    said = fails(main, [*args, other])
    assert "is the ground truth of other trials (recipe.epochs: 9, not 20)" in said
    said = fails(main, [*args, rewritten(truth_of(runs), tmp_path, version=0)])
    assert "has expired: the protocol of trials was at VERSION 0 and is at 1" in said
    (proxy,) = (runs / "records").glob("*-datadam-*.json")
    assert "takes a record of --proxy whole" in fails(main, [*args, str(proxy)])
    assert "none.json is not a record" in fails(main, [*args, str(tmp_path / "none.json")])


def test_a_changed_ground_truth_is_refused_by_name(runs, tmp_path, fails):
    text = truth_of(runs).read_text()
    accuracy = str(record_of(runs, "whole").results.scores[0])
    (tmp_path / "x.json").write_text(text.replace(accuracy, "99.0"))
    args = [*SMALL, "--proxy", "random", "--out", str(tmp_path / "out"), "--truth"]
    said = fails(main, [*args, str(tmp_path / "x.json")])
    assert "x.json is not a record to build on" in said and "it was changed" in said


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--proxy", "distiled"], "unknown proxy 'distiled'.*did you mean distilled"),
        (["--method", "datadm"], "unknown method 'datadm'.*did you mean datadam"),
        (["--proxy", "random", "--method", "dm"], "--method dm is for --proxy distilled"),
        (["--proxy", "whole", "--method.power", "1"], "--method.power has no meaning with --proxy"),
        (["--strategy", "evolve"], "unknown strategy 'evolve'; accepted: grid, random"),
        (["--engine", "servce"], "unknown engine 'servce'.*did you mean service"),
        (["--space", "laptob"], "unknown space 'laptob'.*did you mean laptop"),
        (["--networks", "721"], "--networks 721: give a number from 2 to 720 .the size of the lap"),
        (["--networks", "few"], "--networks few: give a number"),
        (["--epochs", "0"], "--epochs 0: give 1 or more"),
        (["--proxy", "whole", "--epochs", "9"], "--epochs is for the other proxies"),
        (["--proxy", "flops", "--epochs", "9"], "--epochs is for proxies .* flops trains nothing"),
        (["--proxy", "flops", "--strategy", "tpe"], "--strategy tpe is for proxies .* takes grid"),
        (["--trials", "5"], "--trials 5 is for a search; grid takes --networks"),
        (["--strategy", "tpe", "--networks", "5"], "tpe takes --trials"),
        (["--strategy", "tpe", "--trials", "1"], "--trials 1: give a number from 2 to 720"),
        (["--strategy", "tpe", "--trials", "721"], "--trials 721: give a number from 2 to 720"),
        (["--engine-config", "x.yaml"], "--engine-config is for --engine service"),
        (["--concurrency", "4"], "--concurrency is for --engine service; the in-process engine"),
        (["--engine", "service", "--engine-config", "x.yaml"], "no NNI configuration at x.yaml"),
        (["--proxy", "synflow", "--ipc", "5"], "--ipc 5 has no meaning with --proxy synflow"),
        (["--proxy", "flops", "--ipc", "10"], "--ipc 10 has no meaning .* leave --ipc out"),
        (["--proxy", "whole", "--ipc", "1"], "--ipc 1 has no meaning with --proxy whole"),
        (["--ipc", "1000"], "--ipc 1000 is more than the 116 images"),
    ],
)
def test_a_mistake_gets_one_line(args, says, fails, tmp_path):
    error = fails(main, [*args, "--out", str(tmp_path / "runs")])
    assert re.search(says, error), error


def test_a_run_killed_in_the_middle_goes_on_where_it_was(runs, tmp_path, capsys):
    args = ["--proxy", "random", "--networks", "4", "--ipc", "10", "--epochs", "60"]
    args += ["--truth", str(truth_of(runs))]
    full = [sys.executable, "-m", "benchmarks.nas", *args, "--out", str(tmp_path)]
    running = subprocess.Popen(full, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    ledgers = []
    while time.monotonic() < deadline:
        ledgers = list((tmp_path / "trials").glob("*.jsonl"))
        if ledgers and ledgers[0].read_bytes().count(b"\n") >= 2:
            break
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    (ledger,) = ledgers
    before = ledger.read_bytes()
    assert 2 <= before.count(b"\n") < 5
    main([*args, "--out", str(tmp_path)])
    assert re.search(r"[1-3] networks to train.* [1-3] are done already", capsys.readouterr().err)
    assert ledger.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert ledger.read_bytes().count(b"\n") == 5
    main([*args, "--out", str(tmp_path / "unbroken")])
    broken, unbroken = (read([f / "records"])[0] for f in (tmp_path, tmp_path / "unbroken"))
    for part in ("names", "scores", "truth", "looks"):
        assert getattr(broken.results, part) == getattr(unbroken.results, part)


def test_a_folder_of_pictures_can_be_a_proxy(tmp_path):
    args = [*pets(tmp_path), "--proxy", "random", "--networks", "3"]
    main([*args, "--out", str(tmp_path / "runs")])
    (record,) = read([tmp_path / "runs" / "records"])
    assert record.protocol.dataset.name == "folder-pets"
    assert len(record.results.scores) == 3 and None not in record.results.truth


def test_few_pictures_a_class_are_enough_where_none_are_chosen(tmp_path):
    few = [*pets(tmp_path)[:-2], "--networks", "2", "--out", str(tmp_path / "runs")]  # 4 a class
    assert prepare(*parse(Nas, ["--proxy", "flops", *few], prog="nas")).plan is None
    with pytest.raises(Mistake, match="--ipc 10 is more than the 4 images"):
        prepare(*parse(Nas, few, prog="nas"))
