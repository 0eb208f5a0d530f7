"""Every command, broken off at random moments and within writes: it goes on, and ends the same.

`tox -e faults` runs all; a sample runs with the other tests.
"""

import errno
import os

import pytest

from faults import commands
from faults.commands import COMMANDS, SIGNALS, Tally, Tries, Whole

WRITES = {"replace:2:KILL": "SIGKILL", "fsync:3:TERM": "SIGTERM"}
DISKS = (("ENOSPC", 2), ("EIO", 3))


class Unbroken:
    """What commands give when nothing happens, found out once each."""

    def __init__(self, folder):
        self.folder, self.known = folder, {}

    def of(self, name):
        if name not in self.known:
            out = self.folder / name.replace(" ", "-") / "out"
            out.mkdir(parents=True)
            self.known[name] = Whole.of(COMMANDS[name], out)
        return self.known[name]


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    return Unbroken(tmp_path_factory.mktemp("unbroken"))


def cases(values, *, sample=()):
    """All of them when asked for by the marker, those of a command in one process; also a sample.

    Each begins with a command's name.
    """
    marks = [[pytest.mark.faults, pytest.mark.xdist_group(value[0])] for value in values]
    every = [pytest.param(*one, marks=own) for one, own in zip(values, marks, strict=True)]
    return [*(pytest.param(*one, id="sample") for one in sample), *every]


SIGNALLED = [(name, kind, COMMANDS[name].tries) for name in COMMANDS for kind in SIGNALS]
NAMES = [(name,) for name in COMMANDS]


@pytest.mark.parametrize(
    ("name", "kind", "count"), cases(SIGNALLED, sample=[("distill", "SIGKILL", 3)])
)
def test_a_command_broken_off_at_random_ends_as_it_would_have(
    unbroken, tmp_path, tally, name, kind, count
):
    whole, tries = unbroken.of(name), Tries(COMMANDS[name], tmp_path)
    for moment in commands.moments(f"{name} {kind}", count, whole):
        code, said = tries.broken_off(kind, moment)
        if code == 0:  # it was done before its last moment came
            break
        assert code == SIGNALS[kind], said
        if kind != "SIGKILL":
            assert len(last_line(said)) > 0 and commands.temporary(tries.out) == []
    assert tries.faults >= count - 1
    tally.add(name, kind, tries.gone_on(whole))


@pytest.mark.parametrize("name", cases(NAMES, sample=[("distill",)]))
def test_a_command_killed_within_writes_ends_as_it_would_have(unbroken, tmp_path, tally, name):
    whole, tries = unbroken.of(name), Tries(COMMANDS[name], tmp_path)
    codes = [tries.run(where)[0] for where in WRITES]
    assert codes == [SIGNALS[kind] for kind in WRITES.values()]
    tally.add(name, "killed within a write", tries.gone_on(whole))


@pytest.mark.parametrize("name", cases(NAMES, sample=[("distill",)]))
def test_a_disk_that_fails_gets_one_line_and_loses_nothing(unbroken, tmp_path, tally, name):
    whole, tries = unbroken.of(name), Tries(COMMANDS[name], tmp_path)
    for how, number in DISKS:
        code, said = tries.run(f"fsync:{number}:{how}")
        assert code == 2
        assert last_line(said).startswith("error: cannot write ")
        assert os.strerror(getattr(errno, how)) in said
        assert commands.temporary(tries.out) == []
    tally.add(name, "disk full or failing", tries.gone_on(whole))


@pytest.mark.parametrize("name", cases(NAMES))
def test_two_runs_at_once_end_alike(unbroken, tmp_path, tally, name):
    whole, command, out = unbroken.of(name), COMMANDS[name], tmp_path / "out"
    out.mkdir()
    both = [commands.start(command.line(out)) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=2 * commands.MOST)
        assert process.returncode == 0, said
    assert command.results(out) == whole.results
    assert commands.temporary(out) == []
    repeated = commands.steps(out) - whole.steps
    assert 0 <= repeated <= command.flight * whole.steps
    tally.add(name, "two at once", Tally(tried=1, steps=whole.steps, repeated=repeated))


def last_line(said):
    return said.splitlines()[-1] if said else ""
