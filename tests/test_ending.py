"""Ctrl-C and SIGTERM at any moment: one line, soon, and nothing is left.

A command is told to end when it is seen to be at a certain point, never after so many seconds.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Client, Listener
from pathlib import Path

import pytest

from distill.runtime import compute, ending, scratch, store
from distill.runtime.early import BEFORE, LINE
from distill.runtime.mistake import Mistake, one_line

from conftest import eventually, of_session, started

ROOT = Path(__file__).parent.parent
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SOON = 5.0
"""Seconds; 2 are promised, but a machine on which tests run may have more to do."""
both = pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)


@pytest.fixture(autouse=True)
def temporary(monkeypatch, tmp_path):
    """A folder of a short name for the temporary files of a test's commands; not of the tests."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


class Command:
    """A command on its way, with an output folder of its own."""

    def __init__(self, folder, *args, **given):
        self.temporary, self.out = Path(tempfile.gettempdir()), folder / "out"
        self.process = started([sys.executable, *args], **given)

    def end(self, number, *, when, code=None, says=LINE, soon=SOON):
        """Tell it to end when `when()`; it ends soon, in one line, and leaves nothing."""
        assert eventually(when, 60), self.process.communicate(timeout=1)
        began = time.monotonic()
        self.process.send_signal(number)
        printed, said = self.process.communicate(timeout=30)
        seconds = time.monotonic() - began
        print(f"{number.name} to exit: {seconds:.2f} s")
        assert self.process.returncode == (code or CODES[number]), said
        assert said.splitlines()[-1:] == [says] and "Traceback" not in said
        assert seconds < soon
        assert eventually(lambda: not of_session(self.process.pid), 2)
        assert not [*self.temporary.iterdir()]
        if self.out.is_dir():
            assert not [path for path in self.out.rglob(".*") if path.is_file()]
            assert not [*self.out.rglob("*.lock")]
        return printed, said

    def hears(self):
        """Whether it has a handler for SIGTERM: the first that a command of ours does."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return caught >> (signal.SIGTERM - 1) & 1 == 1

    def loads(self, library):
        return library in Path(f"/proc/{self.process.pid}/maps").read_text()

    def folders(self):
        """In its own temporary folder."""
        return [path.name for path in self.temporary.glob("distill.*/*")]


def script(folder, body, **given):
    """Our own few lines as a command."""
    code = f"import os, sys, time\nfrom distill.runtime.mistake import one_line\n{body}"
    return Command(folder, "-c", code, str(folder / "out"), **given)


DISTILL = "-m distill --dataset digits --method dm --method.iterations 100000 --out".split()


# ------------------------------------------------------------------ at any moment


@both
@pytest.mark.parametrize("module", ["distill", "benchmarks.continual", "benchmarks.nas"])
def test_during_the_first_imports(tmp_path, module, number):
    command = Command(tmp_path, "-m", module, "--out", str(tmp_path / "out"))
    _, said = command.end(number, when=command.hears, says=BEFORE)
    assert said == f"{BEFORE}\n"


@both
def test_while_torch_is_imported(tmp_path, number):
    command = Command(tmp_path, *DISTILL, str(tmp_path / "out" / "set.safetensors"))
    # Until its library is loaded no other code of the process runs, ours neither.
    _, said = command.end(
        number, when=lambda: command.loads("libtorch_cpu"), soon=3 * SOON, says=BEFORE
    )
    assert said == f"{BEFORE}\n"


def test_while_images_are_made(tmp_path):
    command = Command(tmp_path, *DISTILL, str(tmp_path / "out" / "set.safetensors"))
    command.end(signal.SIGINT, when=lambda: [*command.out.rglob("*.lock")])


def test_while_images_are_read_there_is_nothing_to_go_on_from(tmp_path):
    body = """
from distill.runtime import early
early.hear()
from distill import datasets
from distill.datasets import digits
def slowly(root, about):
    os.mkdir(sys.argv[1])
    time.sleep(60)
digits.load = slowly
from distill.__main__ import main
with one_line():
    main(["--out", sys.argv[1] + ".safetensors"])
"""
    command = script(tmp_path, body)
    command.end(signal.SIGINT, when=(tmp_path / "out").exists, says=BEFORE)


class Terminal:
    """What a command takes for one, so that it shows how far its jobs are five times a second."""

    def __init__(self):
        self.reader, self.writer = os.openpty()
        os.set_blocking(self.reader, False)
        self.text = ""

    def steps(self):
        """Of the jobs in hand, as they were last shown."""
        with contextlib.suppress(BlockingIOError):
            self.text += os.read(self.reader, 10**6).decode()
        shown = [re.findall(r"steps (\d+) of", line) for line in self.text.split("\r")]
        return sorted(map(int, [steps for steps in shown if steps][-1])) if any(shown) else []


def kept_steps(out):
    """Of all classes in flight, as their checkpoints have them."""
    files = out.with_name(f"{out.name}.parts").glob("*-state-*")
    return sorted(store.read(path)[1]["facts"]["step"] for path in files)


@both
def test_all_steps_of_processes_are_kept_and_no_process_is_left(tmp_path, number):
    out, terminal = tmp_path / "set.safetensors", Terminal()
    small = "--method.networks 3 --method.network convnet-d2-w8 --workers 2".split()
    line = [sys.executable, *DISTILL, str(out), *small]
    command = started(line, stderr=terminal.writer)
    assert eventually(lambda: len(terminal.steps()) == 2 and terminal.steps()[0] >= 50, 120)
    shown = terminal.steps()
    began = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(command.pid, number)  # as a terminal does
    else:
        command.send_signal(number)
    assert command.wait(30) == CODES[number]
    seconds = time.monotonic() - began
    assert seconds < SOON and eventually(lambda: not of_session(command.pid), 2)
    kept = kept_steps(out)
    print(f"{number.name} to exit: {seconds:.2f} s; shown {shown}, kept {kept}")
    # On a busy machine one of the two may have no time to do so.
    assert len(kept) >= 5 and kept[0] >= shown[0]
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".lock"]


def test_avalanches_libraries_reach_for_nobody_and_leave_nothing(tmp_path):
    body = """
with one_line():
    def seen(event, args):
        if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
            print(event, args)
    sys.addaudithook(seen)
    import downstream.continual._avalanche
    print(os.environ["WANDB_ERROR_REPORTING"], flush=True)
    time.sleep(60)
"""
    command = script(tmp_path, body)
    assert command.process.stdout.readline() == "false\n"
    assert any("wandb" in name for name in command.folders())
    command.end(signal.SIGTERM, when=lambda: True)


def test_in_a_long_call_of_a_library(tmp_path):
    body = """
import torch
matrix = torch.rand(2500, 2500)
with one_line():
    print("ready", flush=True)
    while True:
        torch.linalg.eigh(matrix + matrix.T)
"""
    command = script(tmp_path, body)
    command.process.stdout.readline()
    command.end(signal.SIGTERM, when=lambda: True)


WRITING = """
from pathlib import Path
from distill.runtime.files import write_atomically
flush = os.fsync
def slowly(handle):
    time.sleep(0.3)
    flush(handle)
os.fsync = slowly
with one_line():
    write_atomically(Path(sys.argv[1]) / "piece", b"old")
    write_atomically(Path(sys.argv[1]) / "piece", b"whole")
    time.sleep(60)
"""


@both
def test_a_write_in_hand_is_finished_and_the_command_goes_no_further(tmp_path, number):
    command = script(tmp_path, WRITING)
    piece = tmp_path / "out" / "piece"

    def in_the_second_write():
        return piece.exists() and len([*piece.parent.iterdir()]) == 2

    command.end(number, when=in_the_second_write)
    assert piece.read_bytes() == b"whole"


def test_a_write_of_another_thread_is_finished_too(tmp_path):
    body = WRITING.replace("with one_line():", "def write():").replace("    time.sleep(60)", "")
    body += "import threading\nwith one_line():\n    threading.Thread(target=write).start()\n"
    command = script(tmp_path, body + "    time.sleep(60)\n")
    piece = tmp_path / "out" / "piece"
    command.end(signal.SIGINT, when=lambda: piece.exists() and len([*piece.parent.iterdir()]) == 2)
    assert piece.read_bytes() == b"whole"


SWALLOWING = """
import subprocess
from pathlib import Path
from distill.runtime import locks
with one_line(), locks.tried(Path(sys.argv[1]) / "piece"):
    subprocess.Popen(["sleep", "100"])
    subprocess.Popen(["bash", "-c", "sleep 100; true"], start_new_session=True)
    print("ready", flush=True)
    while True:
        try:
            time.sleep(100)
        except KeyboardInterrupt:
            print("still here", file=sys.stderr)
"""


def test_who_swallows_interrupts_is_ended_with_all_its_processes_and_its_lock(tmp_path):
    command = script(tmp_path, SWALLOWING)
    command.process.stdout.readline()
    assert (tmp_path / "out" / "piece.lock").exists()
    command.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    for _ in range(20):
        command.process.send_signal(signal.SIGINT)
        command.process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
    _, said = command.end(signal.SIGTERM, when=lambda: True, code=130)
    assert said == f"{LINE}\n"


def test_what_was_printed_before_arrives(tmp_path):
    body = "with one_line():\n    print('a row')\n    os.mkdir(sys.argv[1])\n    time.sleep(60)"
    command = script(tmp_path, body)
    printed, _ = command.end(signal.SIGTERM, when=(tmp_path / "out").exists)
    assert printed == "a row\n"


def test_an_interrupt_that_was_turned_into_a_mistake_is_told_as_that(tmp_path):
    body = """
from distill.runtime.mistake import Mistake
with one_line():
    try:
        os.mkdir(sys.argv[1])
        time.sleep(60)
    except KeyboardInterrupt:
        raise Mistake("rank 1 has died") from None
"""
    command = script(tmp_path, body)
    ready = (tmp_path / "out").exists
    command.end(signal.SIGTERM, when=ready, code=2, says="error: rank 1 has died")


def test_a_command_that_was_told_to_ignore_ctrl_c_does(tmp_path):
    body = "with one_line():\n    os.mkdir(sys.argv[1])\n    time.sleep(1)\n    print('over')"
    deaf = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    command = script(tmp_path, body, **deaf)
    assert eventually((tmp_path / "out").exists)
    command.process.send_signal(signal.SIGINT)
    assert command.process.communicate(timeout=30) == ("over\n", "")
    assert command.process.returncode == 0


def test_a_copy_by_fork_ends_alone(tmp_path):
    body = """
import signal
with one_line():
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    time.sleep(1.5)
    print("over")
"""
    command = script(tmp_path, body)
    assert command.process.communicate(timeout=30) == ("-15\nover\n", "")


# ------------------------------------------------------------------ temporary files


def test_the_folder_of_a_command_that_was_killed_goes_when_the_next_begins(tmp_path, temporary):
    body = """
import tempfile, subprocess
with one_line():
    tempfile.mkdtemp()
    subprocess.run(["mktemp"], stdout=subprocess.DEVNULL)
    print("ready", flush=True)
    time.sleep(60)
"""
    killed, living = script(tmp_path, body), script(tmp_path, body)
    killed.process.stdout.readline()
    living.process.stdout.readline()
    assert len(living.folders()) == 4
    killed.process.kill()
    killed.process.communicate()
    assert len(living.folders()) == 4
    next_one = Command(tmp_path, "-m", "benchmarks.tables", "--help")
    next_one.process.communicate()
    (left,) = temporary.glob("distill.*")
    assert f"-{living.process.pid}." in left.name
    living.end(signal.SIGTERM, when=lambda: True)


def test_after_a_command_everything_is_as_before(temporary):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), one_line():
        assert signal.getsignal(signal.SIGTERM) not in before
        assert tempfile.gettempdir() == os.environ["TMPDIR"] != str(temporary)
        assert Path(tempfile.mkdtemp()).parent.parent == temporary == scratch.lasting()
        raise ZeroDivisionError
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert signal.set_wakeup_fd(-1) == -1
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(temporary)
    assert not [*temporary.iterdir()] and scratch.LASTING not in os.environ


def test_in_a_folder_of_a_long_name_processes_still_find_each_other(monkeypatch, temporary):
    long = temporary / ("long" * 25)
    long.mkdir()
    for folder in (temporary, long):
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        with one_line(), Listener(family="AF_UNIX") as listener, Client(listener.address):
            place = Path(listener.address).parent
            assert place.name.startswith("distill.")
        assert not place.exists()


def test_python_ends_quietly_though_its_sockets_are_gone(tmp_path):
    body = """
from multiprocessing.connection import Client, Listener
for turn in range(2):
    with one_line(), Listener(family="AF_UNIX") as listener, Client(listener.address):
        pass
with Listener(family="AF_UNIX") as listener, Client(listener.address):
    print("over")
"""
    command = script(tmp_path, body)
    assert command.process.communicate(timeout=30) == ("over\n", "")
    assert not [*command.temporary.iterdir()]


def test_what_is_compiled_outlives_the_command_where_there_is_no_cache_folder(
    monkeypatch, temporary
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(temporary / "none"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # to be put back at the end
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    with one_line():
        compute.keep_compiled()
        assert Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).parent == temporary


def test_only_commands_have_their_own_ways_of_ending():
    code = """
import signal, tempfile
before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], tempfile.gettempdir()
import distill.runtime.files, distill.__main__, benchmarks.continual.__main__
after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], tempfile.gettempdir()
print(before == after)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_an_interrupt_without_a_signal_ends_in_one_line(capsys):
    with pytest.raises(SystemExit) as end, one_line():
        raise KeyboardInterrupt
    assert end.value.code == 130 and capsys.readouterr().err == f"{LINE}\n"


def test_a_mistake_in_a_write_is_no_interrupt(capsys):
    with pytest.raises(SystemExit) as end, one_line(), ending.deferred():
        raise Mistake("no such thing")
    assert end.value.code == 2 and capsys.readouterr().err == "error: no such thing\n"


def test_a_signal_while_python_itself_ends_does_not_undo_the_end():
    script = (
        "import os, signal\n"
        "from distill.runtime import early\n"
        "early.hear()\n"
        "class Last:\n"
        "    def __del__(self, kill=os.kill, own=os.getpid(), number=signal.SIGTERM):\n"
        "        kill(own, number)\n"
        "last = Last()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
