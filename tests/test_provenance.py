"""Where a record comes from: the commit of our own repository, and whether it was whole."""

import dataclasses
import subprocess

import pytest
import torch

import benchmarks.nas.run
import benchmarks.provenance
import benchmarks.record
import benchmarks.reported
from distill.runtime import origin

from records import continual_record


def git(folder, *args):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A checkout of this project, in small, inside the folder `outer`."""
    here = tmp_path / "outer" / "suite"
    for room in ("distill", "downstream", "benchmarks", "results"):
        (here / room).mkdir(parents=True)
        (here / room / "code.py").write_text("x = 1\n")
    monkeypatch.setattr(origin, "__file__", str(here / "distill" / "runtime" / "origin.py"))
    monkeypatch.setattr(origin, "_known", None)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    return here


def code():
    origin._known = None
    begun = benchmarks.provenance.provenance("benchmarks.x", ["--a", "b c"], torch.device("cpu"))
    assert begun.command == "python -m benchmarks.x --a 'b c'"
    return begun.commit, begun.clean


def test_the_commit_is_that_of_our_own_repository_alone(tree):
    git(tree.parent, "init", "--quiet")
    git(tree.parent, "add", ".")
    git(tree.parent, "commit", "--quiet", "-m", "theirs")
    assert code() == (None, None)
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "ours")
    commit, clean = code()
    assert len(commit) == 40 and clean is True
    (tree / "results" / "code.py").write_text("x = 2\n")
    assert code() == (commit, True)
    (tree / "distill" / "code.py").write_text("x = 2\n")
    assert code() == (commit, False)
    git(tree, "commit", "--quiet", "-am", "more")
    assert code()[1] is True and code()[0] != commit
    (tree / "downstream" / "new.py").write_text("")
    assert code()[1] is False


def test_a_row_names_its_commit_and_marks_uncommitted_changes():
    record = continual_record()

    def shown(commit, clean):
        provenance = dataclasses.replace(record.provenance, commit=commit, clean=clean)
        return dataclasses.replace(record, provenance=provenance).commit

    assert shown("abcdef1234", True) == "abcdef1" and shown("abcdef1234", False) == "abcdef1+"
    assert shown(None, None) == "unknown+"
