"""Finished trials survive anything."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from distill.runtime import ledger as ledgers
from distill.runtime import origin
from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake
from distill.runtime.origin import Origin


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


def mended(ledger, kept):
    """Holding it says one line; these trials are kept, and what was there lies aside."""
    content, said = ledger.path.read_bytes(), []
    reopened = Ledger(ledger.path.parent, "digits-random", ledger.facts, say=said.append)
    assert list(reopened.rows) == kept and not said, "who only reads changes nothing"
    with reopened.held(print):
        pass
    assert list(reopened.rows) == kept and len(said) == 1 and "\n" not in said[0]
    aside = ledger.path.with_suffix(".damaged")
    assert str(ledger.path) in said[0] and str(aside) in said[0]
    assert aside.read_bytes() == content
    reopened.add(row("c"))
    whole = Ledger(ledger.path.parent, "digits-random", ledger.facts, say=said.append)
    with whole.held(print):
        assert list(whole.rows) == [*kept, "c"] and len(said) == 1
    return said[0]


def test_a_line_damaged_in_the_middle_is_set_aside_and_the_others_kept(ledger):
    ledger.add(row("a"))
    ledger.add(row("b"))
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join([lines[0], b"{?\n", lines[2]]))
    assert "line 2" in mended(ledger, ["b"])


@pytest.mark.parametrize(("line", "kept"), [(0, ["a", "b"]), (1, ["b"]), (2, ["a"])])
def test_a_flipped_digit_costs_that_trial_alone(ledger, line, kept):
    ledger.add(row("a"))
    ledger.add(row("b"))
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"0", b"9", 1)
    ledger.path.write_bytes(b"".join(lines))
    assert f"line {line + 1}: its digest does not fit" in mended(ledger, kept)


def test_a_row_of_other_uncommitted_code_is_passed_over_and_outlives_damage(ledger, monkeypatch):
    monkeypatch.setattr(origin, "_known", Origin("edited", None, False))
    ledger.add(row("a"))
    monkeypatch.setattr(origin, "_known", Origin("as committed", None, True))
    reopened = again(ledger)
    assert reopened.rows == {} and not reopened.finished("a")
    reopened.add(row("b"))
    ledger.path.write_bytes(b"?\n" + ledger.path.read_bytes())
    assert "its 2 whole trials kept" in mended(ledger, ["b"])
    monkeypatch.setattr(origin, "_known", Origin("edited", None, False))
    assert again(ledger).rows == {name: row(name) for name in "abc"}


def test_a_row_that_names_no_code_is_taken(ledger):
    """Earlier versions wrote such."""
    first = {"identity": ledger.facts}
    lines = [ledgers._line(content, ledger.key) for content in (first, row("a"))]
    ledger.path.write_bytes(b"".join(lines))
    assert again(ledger).rows == {"a": row("a")}


def test_a_ledger_of_other_trials_under_this_name_is_set_aside(ledger, tmp_path):
    other = Ledger(tmp_path, "digits-random", {"seed": 1})
    other.add(row("a"))
    other.path.rename(ledger.path)
    assert "line 1: its digest does not fit" in mended(ledger, [])


def test_a_line_of_another_ledger_is_left_out(ledger, tmp_path):
    other = Ledger(tmp_path, "digits-random", {"seed": 1})
    for each in (ledger, other):
        each.add(row("a"))
    with open(ledger.path, "ab") as file:
        file.write(other.path.read_bytes().splitlines(keepends=True)[1])
    assert "line 3" in mended(ledger, ["a"])


def test_a_damaged_ledger_is_mended_before_a_trial_is_added(ledger):
    ledger.add(row("a"))
    ledger.path.write_bytes(b"?\n" + ledger.path.read_bytes())
    reopened = again(ledger)
    reopened.add(row("b"))
    assert list(again(ledger).rows) == ["a", "b"]
    assert ledger.path.with_suffix(".damaged").exists()


def test_a_folder_in_its_place_is_a_mistake(ledger):
    ledger.path.mkdir()
    with pytest.raises(Mistake, match=f"cannot read {ledger.path}: it is a folder; remove it"):
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
