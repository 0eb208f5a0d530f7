"""One process at a time, the dead do not count, and no lock file stays."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from distill.runtime import locks
from distill.runtime.mistake import Mistake

from conftest import eventually

ROOT = Path(__file__).parent.parent

HOLDING = """
import sys; from pathlib import Path
from distill.runtime import locks
with locks.held(Path(sys.argv[1]), print):
    print("held", flush=True); sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path):
    """A process that has the lock of tmp_path/piece until it reads a line."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, tmp_path / "piece"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        if process.poll() is None:
            process.communicate("\n")


def never():
    raise AssertionError("nobody has it")


def test_a_lock_is_beside_what_it_is_for_and_goes_with_it(tmp_path):
    piece = tmp_path / "new" / "piece"
    with locks.held(piece, never):
        assert os.listdir(piece.parent) == ["piece.lock"]
    with locks.tried(piece) as ours:
        assert ours and os.listdir(piece.parent) == ["piece.lock"]
    with pytest.raises(ZeroDivisionError), locks.held(piece, never):
        raise ZeroDivisionError
    assert os.listdir(piece.parent) == []


def test_who_tries_is_told_that_another_has_it(tmp_path, other):
    with locks.tried(tmp_path / "piece") as ours:
        assert not ours
    with locks.tried(tmp_path / "another piece") as ours:
        assert ours
    assert os.listdir(tmp_path) == ["piece.lock"]
    other.communicate("\n")
    with locks.tried(tmp_path / "piece") as ours:
        assert ours
    assert os.listdir(tmp_path) == []


def test_who_waits_says_so_once_and_gets_it(tmp_path, other):
    waited = []

    def waiting():
        waited.append(other.poll())
        threading.Timer(0.2, lambda: other.communicate("\n")).start()

    with locks.held(tmp_path / "piece", waiting):
        assert waited == [None] and eventually(lambda: other.poll() == 0)
    assert os.listdir(tmp_path) == []


def test_of_several_all_are_held_and_who_waits_says_so_once(tmp_path, other):
    waited = []

    def waiting():
        waited.append(other.poll())
        other.communicate("\n")

    with locks.all_held([tmp_path / "piece", tmp_path / "another"], waiting):
        assert sorted(os.listdir(tmp_path)) == ["another.lock", "piece.lock"]
    assert waited == [None] and os.listdir(tmp_path) == []


def test_a_lock_of_a_killed_process_is_taken_over(tmp_path, other):
    other.kill()
    other.wait()
    assert os.listdir(tmp_path) == ["piece.lock"]
    with locks.tried(tmp_path / "piece") as ours:
        assert ours
    assert os.listdir(tmp_path) == []


def test_who_waits_for_a_process_that_is_killed_takes_over(tmp_path, other):
    waiting = threading.Timer(0.2, other.kill).start
    with locks.held(tmp_path / "piece", waiting):
        assert os.listdir(tmp_path) == ["piece.lock"]
    assert os.listdir(tmp_path) == []


def test_threads_keep_each_other_out_too(tmp_path):
    with locks.held(tmp_path / "piece", never), locks.tried(tmp_path / "piece") as ours:
        assert not ours


COUNTING = """
import sys, time; from pathlib import Path
from distill.runtime import locks
counter = Path(sys.argv[1])
for turn in range(100):
    if turn % 2:
        with locks.held(counter, lambda: None):
            number = int(counter.read_text())
            time.sleep(0.0005); counter.write_text(str(number + 1))
        continue
    while True:
        with locks.tried(counter) as ours:
            if ours:
                number = int(counter.read_text()); counter.write_text(str(number + 1))
        if ours:
            break
        time.sleep(0.0005)
"""


def test_though_lock_files_come_and_go_two_processes_never_both_have_one(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [
        subprocess.Popen([sys.executable, "-c", COUNTING, counter], cwd=ROOT) for _ in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert counter.read_text() == "300" and os.listdir(tmp_path) == ["counter"]


def test_a_folder_that_cannot_be_is_a_mistake(tmp_path):
    (tmp_path / "file").touch()
    for taken in (locks.tried(tmp_path / "file" / "x"), locks.held(tmp_path / "file" / "x", never)):
        with pytest.raises(Mistake, match="cannot write .*x.lock.*choose another --out"), taken:
            pass


def test_nobody_waits_where_the_file_system_has_no_locks(tmp_path, monkeypatch):
    def none(handle, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks.fcntl, "flock", none)
    began = time.monotonic()
    with locks.held(tmp_path / "piece", never), locks.tried(tmp_path / "piece") as ours:
        assert ours
    assert os.listdir(tmp_path) == [] and time.monotonic() - began < 1
