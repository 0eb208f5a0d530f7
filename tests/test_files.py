"""Files are whole or not there, what killed runs left is deleted, and what cannot be is said."""

import errno
import os
import resource
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from distill.runtime import files, marks
from distill.runtime.files import (
    replaced,
    require_space,
    require_writable,
    tidy,
    write_atomically,
)
from distill.runtime.mistake import Mistake

ROOT = Path(__file__).parent.parent


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def leaving(pid, name="piece"):
    """The name of a temporary file of another process of this machine."""
    machine = marks.mark().partition("-")[0]
    return f".{name}.{machine}-{pid}.ab_3x9cd"


@pytest.fixture(scope="module")
def dead():
    """The number of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


# ------------------------------------------------------------------ writing


def test_a_file_is_replaced_and_nothing_else_is_there(tmp_path):
    path = tmp_path / "new" / "piece"
    for content in (b"old", b"new"):
        write_atomically(path, content)
        assert path.read_bytes() == content and names(path.parent) == ["piece"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_very_long_name_can_be_written(tmp_path):
    write_atomically(tmp_path / ("é" * 120), b"x")
    assert names(tmp_path) == ["é" * 120]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_failing_disk_is_one_line_and_leaves_the_old_file_alone(
    tmp_path, monkeypatch, call, code
):
    path = tmp_path / "piece"
    write_atomically(path, b"old")

    def fail(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(Mistake, match=f"cannot write .*piece: {os.strerror(code)}") as mistake:
        write_atomically(path, b"new")
    full = code in (errno.ENOSPC, errno.EDQUOT)
    assert ("make room" in str(mistake.value)) == full
    assert "choose another folder" in str(mistake.value) and "\n" not in str(mistake.value)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["piece"]


def test_a_real_limit_on_size_leaves_nothing(tmp_path):
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from distill.runtime.files import write_atomically\n"
        "from distill.runtime.mistake import one_line\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with one_line(): write_atomically(Path(sys.argv[1]) / 'piece', bytes(10_000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and names(tmp_path) == []
    assert done.stderr.startswith("error: cannot write") and "File too large" in done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_whatever_breaks_it_off_leaves_no_temporary_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), replaced(tmp_path / "piece") as file:
        file.write(b"a part")
        assert len(names(tmp_path)) == 1
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_file_system_that_cannot_flush_folders_is_no_mistake(tmp_path, monkeypatch):
    flush = os.fsync

    def only_files(handle):
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    write_atomically(tmp_path / "piece", b"x")
    assert names(tmp_path) == ["piece"]


def test_the_folder_is_flushed_after_the_rename(tmp_path, monkeypatch):
    order, flush, replace = [], os.fsync, os.replace

    def seen(handle):
        order.append("folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file")
        flush(handle)

    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("name"), replace(*names)))
    write_atomically(tmp_path / "piece", b"x")
    assert order == ["file", "name", "folder"]


# ------------------------------------------------------------------ what killed runs left


def test_a_process_killed_in_a_write_leaves_what_the_next_one_deletes(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from distill.runtime.files import write_atomically\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(Path(sys.argv[1]) / 'piece', b'x')"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(".piece.")
    require_writable(tmp_path)
    assert names(tmp_path) == []


def test_the_first_write_into_a_folder_tidies_it(tmp_path, dead):
    (tmp_path / leaving(dead)).touch()
    write_atomically(tmp_path / "piece", b"x")
    assert names(tmp_path) == ["piece"]


def test_files_of_the_living_of_other_machines_and_of_users_stay(tmp_path, dead):
    kept = {
        leaving(os.getpid()),
        leaving(1),
        leaving(0),
        leaving(f"0{dead}"),
        leaving(10**10),
        f".piece.00000000-{dead}.ab_3x9cd",
        leaving(dead)[1:],
        leaving(dead) + ".txt",
        ".piece",
        "piece",
    }
    for name in (*kept, leaving(dead), leaving(dead, "a.b c")):
        (tmp_path / name).touch()
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / leaving(dead)).touch()
    (tmp_path / leaving(dead, "folder")).mkdir()
    tidy(tmp_path)
    assert {*names(tmp_path)} == kept | {"inner", leaving(dead, "folder")}
    assert names(inner) == [leaving(dead)]


def test_a_folder_that_is_not_there_or_is_a_file_needs_no_tidying(tmp_path):
    tidy(tmp_path / "none")
    (tmp_path / "file").touch()
    tidy(tmp_path / "file")


def write_on(folder, number):
    for turn in range(30):
        require_writable(folder)
        write_atomically(folder / f"piece{turn % 3}", bytes([number]) * 5000)


def test_processes_that_tidy_one_folder_leave_each_others_files_alone(tmp_path):
    processes = [get_context("fork").Process(target=write_on, args=(tmp_path, n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert names(tmp_path) == ["piece0", "piece1", "piece2"]
    assert all(len({*path.read_bytes()}) == 1 for path in tmp_path.iterdir())


# ------------------------------------------------------------------ folders


def test_a_folder_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "a" / "b")
    assert names(tmp_path / "a" / "b") == []


@pytest.mark.parametrize("write", [require_writable, lambda path: write_atomically(path, b"x")])
def test_a_folder_that_cannot_be_is_named(tmp_path, write):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Mistake, match=r"file is a file; choose another folder"):
        write(tmp_path / "file" / "runs" / "sets")
    with pytest.raises(Mistake, match=r"link is a link to nothing; choose another folder"):
        write(tmp_path / "link" / "runs")
    with pytest.raises(Mistake, match=r"cannot write /proc/runs/sets: .*; choose another folder"):
        write(Path("/proc/runs/sets"))


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Mistake, match=r"file is a file, not a folder; choose another folder"):
        require_writable(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="this user may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(Mistake, match="Permission denied; choose another folder"):
        require_writable(tmp_path)
    tmp_path.chmod(0o700)


# ------------------------------------------------------------------ room


def test_a_run_that_needs_more_than_the_disk_has_is_refused(tmp_path):
    require_space(tmp_path / "not" / "yet", 1, what="one set")
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    with pytest.raises(Mistake, match="room in .*yet for 40 sets: .*B needed, .*B free; make"):
        require_space(tmp_path / "not" / "yet", 2 * free, what="40 sets")
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize(
    ("bytes", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (3_400_000, "3.4 MB"), (2e15, "2,000 TB")],
)
def test_sizes_are_readable(bytes, words):
    assert files.size(bytes) == words
