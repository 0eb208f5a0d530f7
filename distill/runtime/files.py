"""Files that are either written whole or not at all, and folders that can take them."""

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from distill.runtime import early, ending, locks, marks
from distill.runtime.mistake import Mistake

UNABLE = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES, errno.EPERM)
"""How a file system says that folders are not flushed there."""
FULL = (errno.ENOSPC, errno.EDQUOT)
LOCK = re.compile(r".+-[0-9a-f]{10}\.[a-z]+\.lock")
"""The names of locks of finished work; a user's own files are not called so."""
UMASK = os.umask(0o077)
os.umask(UMASK)  # it cannot be asked for

_used: set[Path] = set()
"""Folders in which this process, or those it started, may have left something."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside `path`, flush it to the disk, then rename it.

    A crash, a kill or a full disk leaves the old file or none, never a part of the new one. In our
    commands Ctrl-C waits until it is done.

    Raises:
        Mistake: the folder cannot be written to, or the disk is full.
    """
    with ending.deferred(), replaced(path) as file:
        file.write(content)
    early.begin()


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that takes the place of `path` at the end, if all went well.

    Raises:
        Mistake: the folder cannot be written to, or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy_once(path.parent)
        handle, temporary = _temporary(path)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~UMASK)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        if temporary is not None:
            _forget(temporary)


def set_aside(path: Path, reason: Exception, say: Callable[[str], None]) -> None:
    """Give a damaged file another name, so that it is made again, and say so in one line.

    Raises:
        Mistake: it cannot be renamed.
    """
    aside = path.with_suffix(".damaged")
    try:
        path.replace(aside)
    except FileNotFoundError:
        return  # another process was quicker
    except OSError as error:
        raise Mistake(
            f"{path} is not what it should be ({reason}) and cannot be set aside as {aside} "
            f"({error.strerror}); delete it"
        ) from error
    say(f"warning: {path} is not what it should be ({reason}); set aside as {aside}")


def require_writable(folder: Path) -> None:
    """Fail now, not after an hour of work; tidy up after runs that were killed.

    Raises:
        Mistake: `folder` cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, probe = _temporary(folder / "probe")
        os.close(handle)
        _forget(probe)
    except OSError as error:
        if folder.is_file():
            raise Mistake(f"{folder} is a file, not a folder; choose another folder") from error
        raise _unwritten(folder, error) from error
    _used.add(folder)
    tidy(folder)


def require_file(path: Path, endings: Sequence[str], *, what: str) -> None:
    """Check that --out can be so called: `what` is "a set", say.

    Raises:
        Mistake: it is a folder, or has none of the endings; the first is advised.
    """
    if path.is_dir():
        raise Mistake(f"--out {path} is a folder; give the name of a file")
    if path.suffix not in endings:
        raise Mistake(f"--out {path} is to hold {what}; give a name that ends in {endings[0]}")


def require_space(folder: Path, bytes: int, *, what: str) -> None:
    """Check that the disk of `folder`, which need not be there yet, has room for `what`.

    Raises:
        Mistake: it has not.
    """
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < bytes:
        raise Mistake(
            f"too little room in {folder} for {what}: {size(bytes)} needed, {size(free)} free; "
            "make room, or choose another --out"
        )


def size(bytes: float) -> str:
    """`512 bytes`, `3.4 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if bytes < 1000:
            return f"{bytes:.3g} {unit}"
        bytes /= 1000
    return f"{bytes:,.3g} TB" if bytes < 1000 else f"{bytes:,.0f} TB"


def tidy(folder: Path) -> None:
    """Delete the temporary files and the locks in `folder` that dead processes left there."""
    with contextlib.suppress(OSError, Mistake), os.scandir(folder) as entries:
        for entry in entries:
            if LOCK.fullmatch(entry.name):
                with locks.tried(Path(entry.path.removesuffix(".lock"))):
                    pass  # who has a lock and lets it go deletes it
            if entry.name.startswith(".") and marks.abandoned(entry.name):
                with contextlib.suppress(OSError):  # another run may have been quicker
                    os.unlink(entry.path)


def _tidy_once(folder: Path) -> None:
    if folder not in _used:
        _used.add(folder)
        tidy(folder)


def _tidy_used() -> None:
    while _used:
        tidy(_used.pop())


ending.at_last(_tidy_used)


def _temporary(path: Path) -> tuple[int, str]:
    """An open file beside `path`, and its name."""
    prefix = f".{path.name[:40]}.{marks.mark()}."
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    ending.TEMPORARY.add(name)
    return handle, name


def _forget(temporary: str) -> None:
    """Delete a temporary file, if it has not been renamed."""
    with contextlib.suppress(OSError):
        os.unlink(temporary)
    ending.TEMPORARY.discard(temporary)


def _flush(folder: Path) -> None:
    """See the names in a folder onto the disk, where its file system can do that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in UNABLE:
            raise


def _unwritten(path: Path, error: OSError) -> Mistake:
    """The `Mistake` for a path that cannot be written."""
    if error.errno in FULL:
        return Mistake(
            f"cannot write {path}: {error.strerror}; make room and run the same command again, or "
            "choose another folder"
        )
    why = error.strerror or str(error)
    for place in (path, *path.parents):
        if os.path.lexists(place):
            if place != path and not place.is_dir():
                why = f"{place} is {'a file' if place.exists() else 'a link to nothing'}"
            break
    return Mistake(f"cannot write {path}: {why}; choose another folder")
