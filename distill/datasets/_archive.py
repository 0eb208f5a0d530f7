"""Archives from elsewhere: whole and right, or not at all.

They are fetched and unpacked in a temporary folder, which gets its name when all in it is right.
Nothing is written outside that folder: plain files are asked for by name, or a whole tree of them
is unpacked that holds no links and no name that leads out of it. Sizes are bounded while they are
read.
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
from distill.runtime.mistake import Mistake, short

MOST = 2**30
"""Bytes of an archive, and of all that is unpacked from it."""
CHUNK = 2**20
PATIENCE = 20.0
"""Seconds that a host may be silent."""
GIVEN = "give the official file"
"""What to do where a file that was given itself is another."""
DEEPEST, LONGEST = 16, 1000
"""Parts and characters of a name in an archive."""
OF_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini"}
"""Names of what macOS and Windows put among files."""
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
"""The kinds of a plain file in a tar file."""


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
        reading.require_lasting(path, error)
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
    with _tar(archive, most) as tar:
        for member in tar:
            if member.name not in lacking or member.type not in PLAIN:
                continue
            left = _left(left, member)
            lacking.discard(member.name)
            _copy(tar, member, folder / PurePosixPath(member.name).name)
    if lacking:
        raise ValueError(f"it lacks {min(lacking)}")


def unpack_tree(archive: Path, folder: Path, *, most: int = MOST) -> None:
    """Write all plain files of a gzipped tar file into `folder`, by their names in it.

    Hidden files are passed over.

    Raises:
        ValueError: it is no such archive, holds a link, a device, a name twice or one that leads
            out of it, or would take more than `most` bytes.
        Mistake: they cannot be written.
    """
    left, names = most, set[PurePosixPath]()
    with _tar(archive, most) as tar:
        for member in tar:
            name = inner(member.name)
            if member.type == tarfile.DIRTYPE or hidden(name):
                continue
            if member.type not in PLAIN:
                raise ValueError(f"{name} is a link or a device")
            if name in names:
                raise ValueError(f"it holds {name} twice")
            names.add(name)
            left = _left(left, member)
            path = folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _unwritten(path, error) from error
            _copy(tar, member, path)


def inner(name: str) -> PurePosixPath:
    """The name of a file in an archive, from where the archive is unpacked.

    Raises:
        ValueError: it leads elsewhere, is no text, or longer than one is.
    """
    path = PurePosixPath(name)
    if len(name) > LONGEST or len(path.parts) > DEEPEST:
        raise ValueError(f"it holds {short(repr(name))}, a name that is too long or too deep")
    if not name.isprintable():
        raise ValueError(f"it holds {short(repr(name))}, a name that is no text")
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ValueError(f"it holds {short(repr(name))}, a name that leads out of it")
    return path


def hidden(name: PurePosixPath) -> bool:
    """Whether a file is hidden, or what a system puts beside a user's own files."""
    return any(part.startswith(".") or part.lower() in OF_SYSTEMS for part in name.parts)


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
    """Give a finished folder or file its name; a folder that is there already is left as it is.

    Another process may have been quicker.

    Raises:
        Mistake: it cannot be renamed.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made.rename(folder)
    except OSError as error:
        if not (made.is_dir() and folder.is_dir()):
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
def _tar(archive: Path, most: int) -> Iterator[tarfile.TarFile]:
    """A gzipped tar file that is read to its end, where the checksum of what is packed stands.

    Raises:
        ValueError: it is none, or holds more than `most` bytes.
        Mistake: it cannot be read just now.
    """
    try:
        with gzip.open(archive) as file:
            content = _Bounded(file, most)
            with tarfile.open(fileobj=content, mode="r|") as tar:
                yield tar
            while content.read(CHUNK):
                pass
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        reading.require_lasting(archive, error)
        raise ValueError(f"it cannot be unpacked: {error}") from error


def _left(left: int, member: tarfile.TarInfo) -> int:
    """How many of the bytes that are `left` a file leaves."""
    if member.size > left:
        raise ValueError(f"{member.name} is larger than it can be")
    return left - member.size


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    with _written(path) as write:
        while chunk := source.read(CHUNK):
            write(chunk)


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
