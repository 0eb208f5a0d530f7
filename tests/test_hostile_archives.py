"""What an archive or a host may send: none leaves its folder, fills the disk, or stays in half."""

import contextlib
import gzip
import hashlib
import http.server
import io
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from distill.datasets import _archive, _official
from distill.runtime import marks
from distill.runtime.mistake import Mistake

from damage import no_hang
from samples import few


def archive(path, members):
    """A gzipped tar file of (name, type, content or target)."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            plain = kind == tarfile.REGTYPE
            member.size, member.linkname = len(content) if plain else 0, "" if plain else content
            tar.addfile(member, io.BytesIO(content) if plain else None)
    return path


HOSTILE = [
    ("../escaped", tarfile.REGTYPE, b"x"),
    ("/tmp/hostile-escaped", tarfile.REGTYPE, b"x"),
    ("package/../../escaped", tarfile.REGTYPE, b"x"),
    ("package", tarfile.SYMTYPE, "/tmp"),
    ("package/link", tarfile.SYMTYPE, "../../secret"),
    ("package/hard", tarfile.LNKTYPE, "../../secret"),
    ("package/device", tarfile.CHRTYPE, ""),
    ("package/pipe", tarfile.FIFOTYPE, ""),
    ("package/folder", tarfile.DIRTYPE, ""),
]


def test_an_archive_writes_what_was_asked_for_and_nothing_else(tmp_path):
    (tmp_path / "secret").write_text("secret")
    members = [*HOSTILE, ("package/a", tarfile.REGTYPE, b"asked for")]
    path = archive(tmp_path / "x.tgz", members)
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    before = {*tmp_path.rglob("*")}
    _archive.unpack(path, folder, names=["package/a"])
    assert {*tmp_path.rglob("*")} - before == {folder / "a"}
    assert (folder / "a").read_bytes() == b"asked for" and (folder / "a").is_file()
    assert not Path("/tmp/hostile-escaped").exists()


@pytest.mark.parametrize("name", ["package/link", "package/hard", "package/device", "package/pipe"])
def test_what_is_asked_for_must_be_a_plain_file(tmp_path, name):
    (tmp_path / "secret").write_text("secret")
    path = archive(tmp_path / "x.tgz", HOSTILE)
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    with pytest.raises(ValueError, match=f"it lacks {name}"):
        _archive.unpack(path, folder, names=[name])
    assert list(folder.iterdir()) == []


def bombs(folder):
    """Small files that would fill a disk or the memory."""
    big = b"\0" * 2**26
    yield archive(folder / "large", [("package/a", tarfile.REGTYPE, big)])
    other = [("package/b", tarfile.REGTYPE, big), ("package/a", tarfile.REGTYPE, b"a")]
    yield archive(folder / "before", other)
    with tarfile.open(folder / "header", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("package/a")
        member.pax_headers = {"comment": "x" * 2**26}
        tar.addfile(member)
    yield folder / "header"
    with gzip.open(folder / "after", "wb") as file:
        plain = archive(folder / "plain", [("package/a", tarfile.REGTYPE, b"a")])
        file.write(gzip.decompress(plain.read_bytes()))
        file.write(big)
    yield folder / "after"


def test_an_archive_that_unpacks_beyond_measure_is_refused(tmp_path):
    for path in bombs(tmp_path):
        assert path.stat().st_size < 2**20
        folder = tmp_path / f"in-{path.name}"
        folder.mkdir()
        with no_hang(20), pytest.raises(ValueError, match="than it can"):
            _archive.unpack(path, folder, names=["package/a"], most=2**21)
        assert sum(file.stat().st_size for file in folder.iterdir()) < 2**21


class Host(http.server.BaseHTTPRequestHandler):
    """A host that sends what it is told to."""

    def do_GET(self):
        self.send_response(200)
        if self.server.length is not None:
            self.send_header("Content-Length", str(self.server.length))
        self.end_headers()
        with contextlib.suppress(OSError):
            for chunk in self.server.chunks():
                self.wfile.write(chunk)

    def log_message(self, *_):
        pass


@pytest.fixture
def host():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    server.length = None
    server.url = f"http://127.0.0.1:{server.server_port}/x.tar.gz"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_official_archive_is_downloaded_checked_and_arrives_whole(tmp_path, host, monkeypatch):
    source, root = tmp_path / "source", tmp_path / "data"
    (source / "cifar-100-python").mkdir(parents=True)
    dataset = few(source / "cifar-100-python", url=host.url)
    with tarfile.open(tmp_path / "x", "w:gz") as tar:
        tar.add(source / "cifar-100-python", "cifar-100-python")
    content = (tmp_path / "x").read_bytes()
    host.chunks, digest = lambda: [content], hashlib.sha256(content).hexdigest()
    with pytest.raises(Mistake, match=f"what {host.url} sends has sha256 .*: nothing was kept"):
        _official.read_official(dataset, root)
    assert list(root.iterdir()) == []
    monkeypatch.setitem(_official.SHA256, "cifar-100-python.tar.gz", digest)
    arrays = _official.read_official(dataset, root)
    assert [path.name for path in root.iterdir()] == ["cifar-100-python"]
    assert files_of(root) == files_of(source)
    assert arrays.train_images.shape == (7, 3, 32, 32) and arrays.classes[:2] == ("c0", "c1")


def test_a_download_without_end_and_one_that_breaks_off_keep_nothing(tmp_path, host):
    def endless():
        while True:
            yield b"\0" * 2**16

    host.chunks = endless
    with no_hang(20), pytest.raises(Mistake, match="sends more than 1048576 bytes"):
        _archive.fetch(host.url, tmp_path / "x", sha256="0" * 64, most=2**20)
    (tmp_path / "x").unlink()
    host.chunks, host.length = lambda: [b"half"], 1000
    with pytest.raises((Mistake, OSError)):
        _archive.fetch(host.url, tmp_path / "x", sha256="0" * 64)


def test_a_host_that_is_away_is_no_mistake_of_the_user_s(tmp_path):
    (tmp_path / "known").mkdir()
    dataset = few(tmp_path / "known", url="http://127.0.0.1:9/x")
    assert _official.read_official(dataset, tmp_path / "data") is None
    assert list((tmp_path / "data").iterdir()) == []


def test_what_a_killed_download_left_goes_and_that_of_a_living_one_stays(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", "from distill.runtime import marks; print(marks.mark())"],
        capture_output=True,
        text=True,
        check=True,
    )
    dead = tmp_path / f".x.{ended.stdout.strip()}.abc"
    living = tmp_path / f".x.{marks.mark()}.abc"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "part").write_text("")
    with _archive.scratch(tmp_path / "x") as scratch:
        assert not dead.exists() and living.exists() and scratch.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [living.name]
