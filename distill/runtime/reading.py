"""Files as others left them: plain ones alone are opened, and none without end."""

import errno
import stat
from pathlib import Path

from distill.runtime.mistake import Mistake

PASSING = (
    *(errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.EINTR),
)
"""Errors that say nothing of a file."""
MOST = 2**31
"""Bytes of a file that is read at once."""


def require_plain(path: Path, *, most: int = MOST) -> None:
    """Check that `path` is a plain file: a pipe or a device might never end.

    Raises:
        OSError: it is not, there is none, or it holds more than `most` bytes.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"it holds more than {most} bytes", str(path))


def whole(path: Path, *, most: int = MOST) -> bytes:
    """The content of a plain file.

    Raises:
        OSError: there is none, it is of another kind, or it holds more than `most` bytes.
    """
    require_plain(path, most=most)
    return path.read_bytes()


def require_lasting(path: Path, error: Exception) -> None:
    """Check that `error` says something of the file, and not of this moment: a disk far away.

    Raises:
        Mistake, MemoryError: the file may be whole.
    """
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, OSError) and error.errno in PASSING:
        raise Mistake(
            f"cannot read {path}: {error.strerror}; mend that and run the same command again"
        ) from error


def no_number(constant: str) -> float:
    """For `json.loads(parse_constant=)`.

    Raises:
        ValueError: always: NaN and infinity are no figures.
    """
    raise ValueError(f"{constant} is no number")
