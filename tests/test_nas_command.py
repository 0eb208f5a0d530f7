"""`python -m benchmarks.nas` as a person types it."""

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

from benchmarks import nas, report, tables
from benchmarks.record import RESULTS, read
from downstream import nas_service, space

from conftest import write_tree

ROOT = Path(__file__).parent.parent
SMALL = ["--networks", "4", "--epochs", "2", "--ipc", "2"]
QUICK = ["--method.iterations", "4", "--method.networks", "2", "--method.network", "convnet-w8"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the records of three proxies over four networks."""
    out = tmp_path_factory.mktemp("runs")
    nas.main(["--proxy", "whole", "--networks", "4", "--out", str(out)])
    for args in (["distilled", *QUICK], ["early-stopping"]):
        nas.main(["--proxy", *args, *SMALL, "--out", str(out)])
    return out


def record_of(runs, method):
    (found,) = [r for r in read([runs / "records"]) if r.cell["method"] == method]
    return found


def truth_of(runs):
    (path,) = (runs / "records").glob("*-whole-*.json")
    return path


def test_a_record_holds_all_that_made_it(runs):
    record = record_of(runs, "datadam")
    assert record.kind == "nas" and record.protocol["networks"] == 4
    assert record.protocol["truth"]["recipe"]["epochs"] == 20
    assert record.protocol["truth"]["seed"] == 0
    assert record.cell["recipe"]["epochs"] == 2 and record.cell["steps"] == 2
    assert record.cell["variant"]["iterations"] == 4
    assert record.cost["stored_images"] == 20 and record.cost["stored_bytes"] == 20 * 64 * 4
    assert record.cost["seconds"].keys() == {"distil", "trials"}
    found = record.metrics
    assert found["names"] == [str(spec) for spec in space.sample("laptop", 4)]
    assert found["truth"] == record_of(runs, "whole").metrics["accuracies"]
    assert found["chosen"] in found["names"] and found["regret"] >= 0
    assert found["top1"] == found["truth"][found["names"].index(found["chosen"])]
    assert found["failed"] == {} and found["ranked"] == 4
    assert [look[0] for look in found["growth"]] == [1, 2]


def test_the_early_stopped_dataset_and_the_whole(runs):
    early, whole = record_of(runs, "early-stopping"), record_of(runs, "whole")
    assert early.cell["steps"] == 2 and whole.cell["steps"] == 20 * 19
    assert early.cost["stored_images"] == whole.cost["stored_images"] == 1201
    assert whole.metrics["spearman"][0] == 1.0 and whole.metrics["regret"] == 0.0
    assert early.cell["ipc"] is whole.cell["ipc"] is None


def test_the_table_shows_the_cell_beside_the_others(runs, capsys):
    nas.main(["--proxy", "early-stopping", *SMALL, "--out", str(runs)])
    printed = capsys.readouterr()
    assert psutil.Process().children(recursive=True) == []
    assert nas_service.listening(psutil.Process()) == set()
    assert "done already" in printed.err and "loading NNI" not in printed.err
    rows = [line for line in printed.out.splitlines() if line.startswith("| ->")]
    assert len(rows) == 3 and all(" early-stopping " in row for row in rows)
    label = "datadam iterations=4 network=convnet-w8 networks=2 ipc=2"
    assert printed.out.count(f" {label} ") == 3 and printed.out.count(" whole ") >= 2
    figures = re.findall(r"figure: (\S+)", printed.out)
    assert len(figures) == 3
    assert all(Path(f).read_bytes().startswith(b"\x89PNG") for f in figures)


def test_the_pages_of_results_take_these_records(runs, tmp_path):
    results = tmp_path / "results"
    (results / "records").mkdir(parents=True)
    (results / "reported.csv").write_bytes((RESULTS / "reported.csv").read_bytes())
    for path in (runs / "records").glob("*.json"):
        (results / "records" / path.name).write_bytes(path.read_bytes())
    assert tables.main(tables.Tables(results=results)) == 0
    names = sorted(p.name for p in (results / "figures").iterdir())
    assert [n.rsplit("-", 1)[1] for n in names] == ["correlation.png", "growth.png", "scatter.png"]
    (page,) = (results / "tables").glob("nas-digits-laptop-4networks-*.md")
    assert "Spearman, top 20 %" in page.read_text()
    assert report.stale(results) == []


def test_a_search_trains_what_it_found_on_the_whole_dataset(runs, tmp_path):
    args = ["--proxy", "random", "--ipc", "1", "--epochs", "1", "--trials", "6"]
    nas.main([*args, "--strategy", "evolution", "--out", str(tmp_path)])
    (record,) = read([tmp_path / "records"])
    found = record.metrics
    assert record.kind == "nas-search" and record.protocol["trials"] == 6
    assert len(found["names"]) == 6 and sum(t is not None for t in found["truth"]) == 5
    assert found["top1"] == found["truth"][found["names"].index(found["chosen"])] is not None


def test_a_ground_truth_of_another_protocol_is_refused(runs, tmp_path, fails):
    (tmp_path / "x.json").write_text(
        truth_of(runs).read_text().replace('"epochs": 20', '"epochs": 9')
    )
    args = [*SMALL, "--proxy", "random", "--out", str(tmp_path), "--truth"]
    said = fails(nas.main, [*args, str(tmp_path / "x.json")])
    assert "made under another protocol: its recipe.epochs is 9, here it is 20" in said
    other = json.loads(truth_of(runs).read_text())
    other["protocol"]["truth"]["data_digest"] = "0"
    (tmp_path / "y.json").write_text(json.dumps(other))
    assert "its data_digest is 0" in fails(nas.main, [*args, str(tmp_path / "y.json")])
    (proxy,) = (runs / "records").glob("*-datadam-*.json")
    assert "is not a record of --proxy whole" in fails(nas.main, [*args, str(proxy)])
    assert "none.json is not a record" in fails(nas.main, [*args, str(tmp_path / "none.json")])


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
        (["--epochs", "0"], "--epochs 0 is no training"),
        (["--proxy", "whole", "--epochs", "9"], "--epochs is for the other proxies"),
        (["--trials", "5"], "--trials 5 is for a search; grid takes --networks"),
        (["--strategy", "tpe", "--networks", "5"], "tpe takes --trials"),
        (["--strategy", "tpe", "--trials", "1"], "--trials 1: give a number from 2 to 720"),
        (["--strategy", "tpe", "--trials", "721"], "--trials 721: give a number from 2 to 720"),
        (["--engine-config", "x.yaml"], "--engine-config is for --engine service"),
        (["--engine", "service", "--engine-config", "x.yaml"], "no NNI configuration at x.yaml"),
        (["--ipc", "1000"], "--ipc 1000 is more than the 116 images"),
    ],
)
def test_a_mistake_gets_one_line(args, says, fails, tmp_path):
    error = fails(nas.main, [*args, "--out", str(tmp_path / "runs")])
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
    nas.main([*args, "--out", str(tmp_path)])
    assert re.search(r"[1-3] networks to train.* [1-3] are done already", capsys.readouterr().err)
    assert ledger.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert ledger.read_bytes().count(b"\n") == 5
    nas.main([*args, "--out", str(tmp_path / "unbroken")])
    broken, unbroken = (read([f / "records"])[0] for f in (tmp_path, tmp_path / "unbroken"))
    assert broken.metrics == unbroken.metrics


def test_a_folder_of_pictures_can_be_a_proxy(tmp_path):
    root = write_tree(tmp_path / "pets", ("cat", "dog", "eel"), count=4)
    args = ["--dataset", "folder", "--data-root", str(root), "--image-size", "8", "--ipc", "1"]
    nas.main([*args, "--proxy", "random", "--networks", "3", "--out", str(tmp_path / "runs")])
    (record,) = read([tmp_path / "runs" / "records"])
    assert record.protocol["dataset"] == "folder-pets" and record.metrics["ranked"] == 3
