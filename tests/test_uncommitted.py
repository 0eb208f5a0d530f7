"""Which code a record names, and what becomes of what code made that nobody has committed."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import benchmarks.provenance
from benchmarks import command, tables
from benchmarks.nas import truth
from benchmarks.record import RESULTS, read
from benchmarks.tables import Tables
from distill.methods import random
from distill.plan import Plan, distill
from distill.runtime import origin
from distill.runtime.mistake import Mistake
from distill.runtime.origin import Origin
from distill.runtime.progress import Progress
from distill.runtime.seeding import derive
from distill.runtime.workers import Workers

from records import continual_record, nas_record

ROOT = Path(__file__).parent.parent
PAGE = "continual-digits-2-steps-retrain"


def git(folder, *args):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *who, *args], cwd=folder, check=True, capture_output=True, text=True, env=ours
    )
    return done.stdout.strip()


def committed(folder):
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "all")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A checkout of this project, in small."""
    here = tmp_path / "outer" / "suite"
    for room in ("distill", "downstream", "benchmarks", "results"):
        (here / room / "deep").mkdir(parents=True)
        (here / room / "deep" / "code.py").write_text("x = 1\n")
    monkeypatch.setattr(origin, "__file__", str(here / "distill" / "runtime" / "origin.py"))
    monkeypatch.setattr(origin, "_known", None)
    return here


def code():
    """Of a process that starts now."""
    origin._known = None
    begun = benchmarks.provenance.provenance("benchmarks.x", [], torch.device("cpu"))
    return begun.commit, begun.clean


def test_the_commit_is_not_that_of_a_repository_that_encloses_this_one(suite):
    committed(suite.parent)
    assert code() == (None, None)
    ours = committed(suite)
    assert code() == (ours, True) and ours != git(suite.parent, "rev-parse", "HEAD")


def test_the_commit_is_not_that_of_a_repository_in_whose_hook_this_runs(
    suite, tmp_path, monkeypatch
):
    ours = committed(suite)
    other = tmp_path / "other"
    (other / "distill").mkdir(parents=True)
    (other / "distill" / "code.py").write_text("")
    committed(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert code() == (ours, True)


@pytest.mark.parametrize("room", ["distill", "downstream", "benchmarks"])
@pytest.mark.parametrize("hidden", ["plain", "ignored", "by a setting"])
def test_a_file_of_code_that_git_does_not_know_counts(room, hidden, suite):
    ours = committed(suite)
    if hidden == "by a setting":
        git(suite, "config", "status.showUntrackedFiles", "no")
    if hidden == "ignored":
        (suite / ".git" / "info" / "exclude").write_text("new.py\n")
    (suite / room / "deep" / "new.py").write_text("")
    assert code() == (ours, False)


def test_what_is_no_code_does_not_count(suite):
    ours = committed(suite)
    (suite / "distill" / "__pycache__").mkdir()
    (suite / "distill" / "__pycache__" / "code.cpython-311.pyc").write_bytes(b"")
    (suite / "results" / "new.py").write_text("")
    (suite / "runs").mkdir()
    (suite / "runs" / "x.json").write_text("")
    assert code() == (ours, True)


@pytest.mark.parametrize("change", ["changed", "deleted", "staged"])
def test_a_changed_file_of_code_counts(change, suite):
    ours = committed(suite)
    path = suite / "distill" / "deep" / "code.py"
    if change == "deleted":
        path.unlink()
    else:
        path.write_text("x = 2\n")
    if change == "staged":
        git(suite, "add", ".")
    assert code() == (ours, False)


def unclean(record, clean=False):
    return dataclasses.replace(
        record, provenance=dataclasses.replace(record.provenance, clean=clean)
    )


@pytest.fixture
def results(tmp_path):
    """A results folder with one record of committed code, and its pages."""
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(RESULTS / "reported.csv", folder)
    continual_record().write(folder / "records")
    assert tables.main(Tables(results=folder)) == 0
    return folder


@pytest.mark.parametrize("clean", [False, None])
def test_a_record_of_uncommitted_code_is_on_no_committed_page(clean, results, capsys):
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    for record in (continual_record("dm", drawn=1), continual_record("herding", drawn=2)):
        unclean(record, clean).write(results / "records")
    capsys.readouterr()
    for check in (True, False):
        assert tables.main(Tables(check=check, results=results)) == 0
        printed = capsys.readouterr()
        assert printed.err.startswith("left out, since made from uncommitted code: continual-")
        assert "and 1 more; commit the code" in printed.err and printed.err.count("\n") == 1
    assert all(path.read_bytes() == content for path, content in before.items())
    assert "herding" not in (results / "tables" / f"{PAGE}.md").read_text()


def test_a_run_of_uncommitted_code_is_shown_beside_the_others_and_marked(tmp_path, capsys):
    continual_record().write(tmp_path / "records")
    command.publish(unclean(continual_record("dm", drawn=1)), tmp_path)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    (own,) = [row for row in rows if row.startswith("| ->")]
    assert " dm " in own
    assert any(" random " in row for row in rows)
    assert "abcdef1+" in own, own


# ------------------------------------------------------------------ what is kept


@pytest.mark.parametrize(
    ("ours", "label", "usable"),
    [
        (True, None, True),  # of an earlier version of the suite, which kept no label
        (True, {"digest": "ours", "committed": False}, True),  # committed since
        (True, {"digest": "another", "committed": True}, True),  # VERSIONs speak for it
        (True, {"digest": "another", "committed": False}, False),
        (True, {"digest": "another", "committed": None}, False),
        (True, {}, False),
        (True, "damage", False),
        (False, {"digest": "another", "committed": True}, True),
        (False, {"digest": "another", "committed": False}, False),
        (False, {"digest": "another", "committed": None}, True),
        (None, {"digest": "another", "committed": True}, True),
        (None, {"digest": "another", "committed": False}, False),
        (None, {"digest": "another", "committed": None}, True),  # of an earlier installed suite
    ],
)
def test_what_uncommitted_code_made_is_used_by_the_same_code_alone(
    ours, label, usable, monkeypatch
):
    monkeypatch.setattr(origin, "_known", Origin("ours", None, ours))
    assert origin.usable(label) is usable


def seen(shared, job, progress):
    """What a process takes for its own code."""
    return list(origin.ours())


def test_a_process_of_workers_is_of_the_code_of_the_run(monkeypatch):
    """It may have started after an edit."""
    monkeypatch.setattr(origin, "_known", Origin("ours", None, False))
    given = {"shape": (1, 8, 8), "device": torch.device("cpu"), "progress": Progress(), "given": 2}
    with Workers(None, **given) as workers:
        told = list(workers.run(seen, [0, 1], what="jobs", steps=1e9))
    assert told == [["ours", None, False]] * 2


@pytest.mark.parametrize("clean", [True, False, None])
def test_no_ground_truth_of_uncommitted_code_comes_into_a_record_of_committed(
    clean, tmp_path, monkeypatch
):
    record = nas_record()
    whole = dataclasses.replace(record.cell, proxy="whole", making=None)
    path = unclean(dataclasses.replace(record, cell=whole), clean).write(tmp_path)
    wanted = SimpleNamespace(identity=lambda: record.protocol.truth)
    scores = dict(zip(record.results.names, record.results.scores, strict=True))
    monkeypatch.setattr(origin, "_known", Origin("ours", "a" * 40, True))
    found = {name: score for name, score in scores.items() if score is not None}
    assert truth.known(wanted, None, [tmp_path]) == (found if clean else {})
    if not clean:
        with pytest.raises(Mistake, match="not made from committed code.*leave --truth out"):
            truth.known(wanted, path, [])
    monkeypatch.setattr(origin, "_known", Origin("ours", "a" * 40, False))
    assert truth.known(wanted, path, []) == scores


EDIT = """
_as_committed = distill


def distill(*args, **given):
    return _as_committed(*args, **given).flip(-1)
"""


class Checkout:
    """This project in a repository of its own, where a file of code can be edited."""

    def __init__(self, folder):
        for room in ("distill", "downstream", "benchmarks"):
            ignored = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(ROOT / room, folder / room, ignore=ignored)
        (folder / "results").mkdir()
        shutil.copy(RESULTS / "reported.csv", folder / "results")
        (folder / ".gitignore").write_text("__pycache__\n")
        committed(folder)
        self.folder, self.file = folder, folder / "distill" / "methods" / "random.py"
        self.text = self.file.read_text()

    def edit(self, more=EDIT):
        self.file.write_text(self.text + more)

    def commit(self):
        git(self.folder, "commit", "--quiet", "-am", "more")

    def python(self, *args):
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        line = [sys.executable, *args]
        done = subprocess.run(line, cwd=self.folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "checkout")


CLASSIFICATION = "--method random --ipc 1 --sets 1 --networks 1 --epochs 1 --network convnet-d2-w8"


def test_a_record_of_committed_code_holds_no_set_of_uncommitted_code(checkout, digits):
    def record():
        checkout.python("-m", "benchmarks.classification", *CLASSIFICATION.split())
        (written,) = read([checkout.folder / "runs" / "records"])
        return written.provenance.clean, written.sets[0].digest

    real = dataclasses.replace(digits.train, normalisation=digits.train.about.normalisation)
    right = distill(Plan("random", random.Config(), 1, derive(0, "set", 0)), real).digest()
    checkout.edit()
    clean, digest = record()
    assert clean is False and digest != right
    checkout.edit("")
    assert record() == (True, right)


SET = """
from pathlib import Path
import distill
real = distill.load_dataset("digits").train.only([3])
small = distill.distill("random", real, ipc=1, store="sets")
(path,) = Path("sets").iterdir()
print(small.digest(), path.stat().st_mtime_ns)
"""


def test_a_set_of_uncommitted_code_is_still_there_when_that_was_committed(checkout):
    checkout.edit()
    made = checkout.python("-c", SET)
    checkout.commit()
    assert checkout.python("-c", SET) == made


TRIAL = """
import sys
from pathlib import Path
from distill.runtime.ledger import Ledger
ledger = Ledger(Path("trials"), "digits", {"seed": 0})
with ledger.held(print):
    if not ledger.finished("a"):
        ledger.add({"network": "a", "status": "trained", "accuracy": float(sys.argv[1])})
print(ledger.finished("a")["accuracy"])
"""


def test_a_trial_of_uncommitted_code_is_made_again_by_committed_code(checkout):
    def accuracy(now):
        return float(checkout.python("-c", TRIAL, str(now)))

    checkout.edit("# more\n")
    assert (accuracy(1), accuracy(2)) == (1, 1), "the same code finds it"
    checkout.edit("# even more\n")
    assert (accuracy(3), accuracy(4)) == (3, 3), "another does not"
    checkout.edit("")
    assert (accuracy(5), accuracy(6)) == (5, 5)
    checkout.edit("# something else\n")
    assert accuracy(7) == 5, "trials of committed code are found by their VERSION"
