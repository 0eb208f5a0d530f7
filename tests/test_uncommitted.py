"""Which code a record names, and what becomes of one made from code that nobody has committed."""

import dataclasses
import os
import shutil
import subprocess

import pytest
import torch

import benchmarks.provenance
from benchmarks import command, tables
from benchmarks.record import RESULTS
from benchmarks.tables import Tables

from records import continual_record

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
    place = here / "benchmarks" / "provenance.py"
    monkeypatch.setattr(benchmarks.provenance, "__file__", str(place))
    return here


def code():
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
