"""Every command, broken off at random moments and within writes: it goes on, and ends the same.

`tox -e faults` runs all; a sample runs with the other tests.
"""

import errno
import os

import pytest

from faults import commands
from faults.commands import COMMANDS, SIGNALS, Tally

TRIES = 2
"""Runs in folders of their own, of each command with each signal."""
WRITES = ["fsync:3:TERM", "replace:2:KILL"]
DISKS = [("ENOSPC", 2), ("EIO", 3)]


class Unbroken:
    """What commands give when nothing happens, found out once each."""

    def __init__(self, folder):
        self.folder, self.known = folder, {}

    def of(self, name):
        """(results, seconds, steps) of a command."""
        if name not in self.known:
            command, out = COMMANDS[name], self.folder / name.replace(" ", "-") / "out"
            out.mkdir(parents=True)
            seconds = commands.timed(command.line(out))
            self.known[name] = command.results(out), seconds, commands.steps(out)
        return self.known[name]


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    return Unbroken(tmp_path_factory.mktemp("unbroken"))


def sample(values, *, first):
    """All of them when asked for by the marker; those of `first` also with the other tests."""
    return [
        pytest.param(*value, marks=[] if value in first else pytest.mark.faults) for value in values
    ]


SIGNALLED = [
    (name, kind, number) for name in COMMANDS for kind in SIGNALS for number in range(TRIES)
]


@pytest.mark.parametrize(
    ("name", "kind", "number"), sample(SIGNALLED, first=[("distill", "SIGKILL", 0)])
)
def test_a_command_broken_off_twice_at_random_ends_as_it_would_have(
    unbroken, tmp_path, tally, name, kind, number
):
    results, seconds, steps = unbroken.of(name)
    command, out = COMMANDS[name], tmp_path / "out"
    out.mkdir()
    for turn in range(2):
        after = commands.moments(f"{name} {kind} {number} {turn}", seconds)
        code, said = commands.broken_off(command.line(out), kind, after)
        if code == 0:
            break
        assert code == SIGNALS[kind], said
        assert "Traceback" not in said
        if kind != "SIGKILL":
            assert len(last_line(said)) > 0 and temporary(out) == []
        tally.add(name, kind, Tally(tried=1))
    tally.add(name, kind, gone_on(command, out, results, steps))


@pytest.mark.parametrize(
    ("name", "where"),
    sample(
        [(name, where) for name in COMMANDS for where in WRITES],
        first=[("distill", "replace:2:KILL")],
    ),
)
def test_a_command_killed_within_a_write_ends_as_it_would_have(
    unbroken, tmp_path, tally, name, where
):
    results, _, steps = unbroken.of(name)
    command, out = COMMANDS[name], tmp_path / "out"
    out.mkdir()
    code, said = commands.run(command.line(out, where=where))
    if code != 0:  # a run of few writes may end before
        tally.add(name, "killed within a write", Tally(tried=1))
    assert "Traceback" not in said
    tally.add(name, "killed within a write", gone_on(command, out, results, steps))


@pytest.mark.parametrize(
    ("name", "how", "number"),
    sample(
        [(name, *disk) for name in COMMANDS for disk in DISKS], first=[("distill", "ENOSPC", 2)]
    ),
)
def test_a_disk_that_fails_gets_one_line_and_loses_nothing(
    unbroken, tmp_path, tally, name, how, number
):
    results, _, steps = unbroken.of(name)
    command, out = COMMANDS[name], tmp_path / "out"
    out.mkdir()
    code, said = commands.run(command.line(out, where=f"fsync:{number}:{how}"))
    assert code == 2
    assert said.splitlines()[-1].startswith("error: cannot write ")
    assert errno_words(how) in said and "Traceback" not in said
    assert temporary(out) == []
    tally.add(name, "disk full or failing", Tally(tried=1))
    tally.add(name, "disk full or failing", gone_on(command, out, results, steps))


@pytest.mark.faults
@pytest.mark.parametrize("name", COMMANDS)
def test_two_runs_at_once_end_alike(unbroken, tmp_path, tally, name):
    results, _, steps = unbroken.of(name)
    command, out = COMMANDS[name], tmp_path / "out"
    out.mkdir()
    both = [commands.start(command.line(out)) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=2 * commands.MOST)
        assert process.returncode == 0, said
    assert command.results(out) == results
    assert temporary(out) == []
    repeated = commands.steps(out) - steps
    tally.add(name, "two at once", Tally(tried=1, steps=steps, repeated=repeated))


def gone_on(command, out, results, steps):
    """The same command again ends with the same results; what that cost."""
    before = commands.finished(out)
    code, said = commands.run(command.line(out))
    assert code == 0, said
    assert command.results(out) == results
    assert temporary(out) == []
    lost = commands.lost(before, commands.finished(out))
    assert lost == 0
    return Tally(steps=steps, repeated=commands.steps(out) - steps, lost=lost)


def temporary(out):
    """Files that a write began."""
    return [path for path in out.rglob(".*") if path.is_file()]


def last_line(said):
    return said.splitlines()[-1] if said else ""


def errno_words(how):
    return os.strerror(getattr(errno, how))
