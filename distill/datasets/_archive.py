"""Archives from elsewhere: whole and right, or not at all.

They are fetched and unpacked in a temporary folder, which gets its name when all in it is right.
What is in an archive never says where it goes: plain files are asked for by name and put into one
folder, and their sizes are bounded while they are read.
"""

import contextlib
import gzip
import hashlib
import http.client
import shutil
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from distill.runtime import marks, reading
from distill.runtime.mistake import Mistake

MOST = 2**30
"""Bytes of an archive, and of all that is unpacked from it."""
CHUNK = 2**20
PATIENCE = 20.0
"""Seconds that a host may be silent."""


def fetch(url: str, path: Path, *, sha256: str = "", md5: str = "", most: int = MOST) -> None:
    """Download the file of that digest: sha256, or md5 where its authors publish no other.

    Raises:
        OSError: the host cannot be reached, or breaks off.
        Mistake: what comes is another file, or it cannot be written.
    """
    left = most
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer, _written(path) as write:
            while chunk := answer.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise Mistake(f"{url} sends more than {most} bytes; nothing was kept")
                write(chunk)
    except http.client.HTTPException as error:
        raise OSError(f"{url} breaks off") from error
    what, mend = f"what {url} sends", "nothing was kept"
    require(path, sha256=sha256, md5=md5, what=what, mend=mend, most=most)


def require(
    path: Path,
    *,
    sha256: str = "",
    md5: str = "",
    what: str = "",
    mend: str = "delete it and run again",
    most: int = MOST,
) -> None:
    """Check the digest of a file: sha256, or md5 where its authors publish no other.

    Args:
        what: it is, where that is not its path. mend: what is to be done about another.

    Raises:
        Mistake: it has another, or cannot be read.
    """
    kind, known = ("sha256", sha256) if sha256 else ("md5", md5)
    try:
        reading.require_plain(path, most=most)
        with open(path, "rb") as file:
            own = hashlib.file_digest(file, kind).hexdigest()
    except OSError as error:
        raise Mistake(f"cannot read {path}: {error.strerror}; {mend}") from error
    if own != known:
        raise Mistake(f"{what or path} has {kind} {own[:12]}..., not {known[:12]}...: {mend}")


def unpack(archive: Path, folder: Path, *, names: Sequence[str], most: int = MOST) -> None:
    """Write the plain files of these names (`package/x.json`) of a gzipped tar file into `folder`.

    Everything else in it is passed over.

    Raises:
        ValueError: it is no such archive, lacks one of them, or would take more than `most` bytes.
        Mistake: they cannot be written.
    """
    lacking, left = set(names), most
    try:
        with gzip.open(archive) as content, _opened(_Bounded(content, most)) as tar:
            for member in tar:
                if member.name not in lacking or member.type not in (tarfile.REGTYPE, b"\0"):
                    continue
                left -= member.size
                if left < 0:
                    raise ValueError(f"{member.name} is larger than it can be")
                lacking.discard(member.name)
                source = tar.extractfile(member)
                with _written(folder / PurePosixPath(member.name).name) as write:
                    while chunk := source.read(CHUNK):
                        write(chunk)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if lacking:
        raise ValueError(f"it lacks {min(lacking)}")


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, on the same disk; those of dead processes go too.

    Raises:
        Mistake: it cannot be made.
    """
    prefix = f".{folder.name}."
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for place in folder.parent.glob(f"{prefix}*"):
            if marks.abandoned(place.name) and not place.is_symlink():
                shutil.rmtree(place, ignore_errors=True)
        made = tempfile.mkdtemp(prefix=f"{prefix}{marks.mark()}.", dir=folder.parent)
    except OSError as error:
        raise _unwritten(folder.parent, error) from error
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def settle(made: Path, folder: Path) -> None:
    """Give a finished folder or file its name; another process may have been quicker.

    Raises:
        Mistake: it cannot be renamed.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise _unwritten(folder, error) from error


@contextlib.contextmanager
def _written(path: Path) -> Iterator:
    """write(chunk) into a new file; only what it fails with itself is a `Mistake`."""
    try:
        file = open(path, "xb")  # noqa: SIM115
    except OSError as error:
        raise _unwritten(path, error) from error

    def write(chunk: bytes) -> None:
        try:
            file.write(chunk)
            file.flush()
        except OSError as error:
            raise _unwritten(path, error) from error

    with file:
        yield write


def _unwritten(path: Path, error: OSError) -> Mistake:
    return Mistake(
        f"cannot write {path}: {error.strerror}; make room there, or choose another --data-root"
    )


@contextlib.contextmanager
def _opened(content: "_Bounded") -> Iterator[tarfile.TarFile]:
    """A tar file that is read to its end, where the checksum of what is packed stands."""
    with tarfile.open(fileobj=content, mode="r|") as tar:
        yield tar
    while content.read(CHUNK):
        pass


class _Bounded:
    """A file of which no more than `left` bytes can be read."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self.file, self.left = file, left

    def read(self, count: int) -> bytes:
        """At most `count` bytes."""
        content = self.file.read(min(count, self.left + 1))
        self.left -= len(content)
        if self.left < 0:
            raise ValueError("it holds more than it can")
        return content
