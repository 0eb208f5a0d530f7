"""A command's own folder for temporary files, also for those that libraries forget.

It goes when the command ends, however it ends; one of a command that was killed outright goes when
the next begins.
"""

import contextlib
import multiprocessing.process
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from distill.runtime import marks
from distill.runtime.environment import variables

NAME = "distill."
SOCKETS = 103 - len("/listener-12345678")
"""The longest name of a folder in which multiprocessing can have its sockets."""
LASTING = "DISTILL_TMPDIR"

_folder: Path | None = None


def lasting() -> Path:
    """The folder for temporary files that outlive the command."""
    return Path(os.environ.get(LASTING) or tempfile.gettempdir())


@contextlib.contextmanager
def own() -> Iterator[None]:
    """Within this, temporary files of this process and of those it starts lie in one folder.

    Where none can be made they lie where they would.
    """
    global _folder
    before, given = tempfile.tempdir, {}
    with contextlib.suppress(OSError):
        _folder = _made()
        given = {LASTING: str(lasting()), "TMPDIR": str(_folder)}
        tempfile.tempdir = str(_folder)
    # multiprocessing would make a folder in ours, and miss it when the process ends.
    settings = multiprocessing.process.current_process()._config
    sockets = settings.get("tempdir")
    settings["tempdir"] = sockets or (None if _folder is None else str(_folder))
    try:
        with variables(given):
            yield
    finally:
        settings["tempdir"] = sockets
        tempfile.tempdir = before
        remove()
        _folder = None


def remove() -> None:
    """Delete the folder."""
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)


def _made() -> Path:
    base, prefix = Path(tempfile.gettempdir()), f"{NAME}{marks.mark()}."
    _tidy(base)
    if len(str(base / prefix)) + 8 > SOCKETS:
        base = Path("/tmp")
        _tidy(base)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=base))


def _tidy(base: Path) -> None:
    """Delete the folders of this user's commands that were killed."""
    with contextlib.suppress(OSError), os.scandir(base) as entries:
        for entry in entries:
            if not (entry.name.startswith(NAME) and marks.abandoned(entry.name)):
                continue
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False) and _ours(entry):
                    shutil.rmtree(entry.path, ignore_errors=True)


def _ours(entry: os.DirEntry) -> bool:
    return entry.stat(follow_symlinks=False).st_uid == os.getuid()
