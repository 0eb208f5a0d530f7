"""Files that are either written whole or not at all."""

import os
import tempfile
from pathlib import Path

from distill.runtime.mistake import Mistake


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside `path`, flush it to the disk, then rename it.

    A crash, a kill or a full disk leaves the old file or none, never a part of the new one.

    Raises:
        Mistake: the folder cannot be written to, or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise Mistake(f"cannot write {path}: {error.strerror}; choose another --out") from error


def require_writable(folder: Path) -> None:
    """Fail now, not after an hour of work.

    Raises:
        Mistake: `folder` cannot be made or written to.
    """
    probe = folder / ".writable"
    write_atomically(probe, b"")
    probe.unlink(missing_ok=True)  # another run may have been quicker
