"""Finished trials survive anything."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake


def row(network, status="trained"):
    return {"network": network, "status": status, "accuracy": 50.0}


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path, "digits-random", {"seed": 0})


def again(ledger):
    return Ledger(ledger.path.parent, "digits-random", ledger.facts)


def test_rows_come_back(ledger):
    ledger.add(row("a"))
    ledger.add(row("b"))
    assert again(ledger).rows == {"a": row("a"), "b": row("b")}


def test_another_identity_is_another_file(ledger, tmp_path):
    ledger.add(row("a"))
    assert Ledger(tmp_path, "digits-random", {"seed": 1}).rows == {}


def test_a_torn_last_line_is_dropped_and_written_over(ledger):
    ledger.add(row("a"))
    ledger.add(row("b"))
    ledger.path.write_bytes(ledger.path.read_bytes()[:-7])
    reopened = again(ledger)
    assert list(reopened.rows) == ["a"]
    reopened.add(row("c"))
    assert list(again(ledger).rows) == ["a", "c"]


def test_a_line_damaged_in_the_middle_is_named(ledger):
    ledger.add(row("a"))
    ledger.add(row("b"))
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join([lines[0], b"{?\n", lines[2]]))
    with pytest.raises(Mistake, match="damaged at line 2"):
        again(ledger)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_flipped_digit_is_refused_with_the_file_and_the_line(ledger, line):
    ledger.add(row("a"))
    ledger.add(row("b"))
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"0", b"9", 1)
    ledger.path.write_bytes(b"".join(lines))
    with pytest.raises(
        Mistake, match=rf"{ledger.path.name} is damaged at line {line + 1} .*delete"
    ):
        again(ledger)


def test_a_ledger_of_other_trials_under_this_name_is_refused(ledger, tmp_path):
    other = Ledger(tmp_path, "digits-random", {"seed": 1})
    other.add(row("a"))
    other.path.rename(ledger.path)
    with pytest.raises(Mistake, match="damaged at line 1 .its digest does not fit"):
        again(ledger)


def test_a_line_of_another_ledger_is_refused(ledger, tmp_path):
    other = Ledger(tmp_path, "digits-random", {"seed": 1})
    for each in (ledger, other):
        each.add(row("a"))
    with open(ledger.path, "ab") as file:
        file.write(other.path.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(Mistake, match="damaged at line 3"):
        again(ledger)


def test_failed_trials_are_tried_again_and_diverged_ones_not(ledger):
    for status in ("trained", "diverged", "failed"):
        ledger.add(row(status, status))
    assert ledger.finished("trained") and ledger.finished("diverged")
    assert ledger.finished("failed") is None and ledger.finished("unknown") is None
    ledger.add(row("failed"))
    assert again(ledger).finished("failed") == row("failed")


def test_a_full_disk_is_one_line_and_loses_no_row(ledger, monkeypatch):
    ledger.add(row("a"))

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Mistake, match="No space left.*make room, then run"):
            ledger.add(row("b"))
    assert "b" not in ledger.rows
    ledger.add(row("c"))
    assert list(again(ledger).rows) == ["a", "c"]


def test_a_second_process_waits_and_then_sees_what_the_first_did(ledger):
    code = (
        "import sys; from pathlib import Path; from distill.runtime.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), 'digits-random', {'seed': 0})\n"
        "with ledger.held(print):\n"
        "    print('held', flush=True); sys.stdin.readline()\n"
        "    ledger.add({'network': 'a', 'status': 'trained'})"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(ledger.path.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "held\n"
    waited = []

    def waiting():
        waited.append(dict(ledger.rows))
        threading.Timer(0.2, lambda: other.communicate("go\n")).start()

    with ledger.held(waiting):
        assert waited == [{}] and list(ledger.rows) == ["a"]
