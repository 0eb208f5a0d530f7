"""What a set that is being made consists of so far, kept beside its file until that is whole."""

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from distill.checkpoints import KIND as STATE
from distill.images import ImageSet
from distill.plan import KIND, Plan, pieces_of, states_of
from distill.runtime.compute import Compute
from distill.runtime.files import require_writable, tidy
from distill.runtime.locks import LOCKLESS
from distill.runtime.store import Store

OURS = re.compile(r".+-[0-9a-f]{10}\.(safetensors|damaged|job|safetensors\.lock|job\.lock)")
"""The names of a store's files and of what stands beside them."""
PIECE = re.compile(r".+-ipc\d+-class.+\.safetensors")
"""Those of a set's pieces and checkpoints."""


def name(path: Path) -> Path:
    """The folder of what the file `path` will consist of."""
    return path.with_name(f"{path.name}.parts")


def files_of(plan: Plan, real: ImageSet, compute: Compute, store: Store) -> list[Path]:
    """The files of the set's pieces in a store, and of their checkpoints."""
    places = pieces_of(plan, real, compute)
    files = [store.path(place.name, KIND, place.facts) for place in places]
    states = states_of(plan, places) if plan.config.stepwise else []
    return files + [store.path(place.name, STATE, place.facts) for place in states]


@contextlib.contextmanager
def beside(
    path: Path, own: Callable[[], Sequence[Path]], say: Callable[[str], None]
) -> Iterator[None]:
    """Within it that folder is there; it is deleted when all went well.

    A run that is broken off leaves it, and the same command goes on from there. Of several runs
    that use it at once the last one deletes it, with nothing in it that is not ours; where a file
    system has no locks it stays. So does what another set was left with, all but `own`.

    Args:
        own: gives the pieces and checkpoints of the set that is made (`files_of`).
        say: is told in a line where another set's stay.

    Raises:
        Mistake: it cannot be made or written to.
    """
    folder = name(path)
    handle = _opened(folder)
    try:
        yield
        with contextlib.suppress(BlockingIOError):  # another run uses it
            if _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
                _delete(folder, own(), say)
    finally:
        os.close(handle)


def _opened(folder: Path) -> int:
    """The folder, held so that no other run deletes it."""
    while True:
        require_writable(folder)
        with contextlib.suppress(FileNotFoundError):  # deleted just now
            handle = os.open(folder, os.O_RDONLY)
            _lock(handle, fcntl.LOCK_SH)
            if folder.exists() and os.path.samestat(os.fstat(handle), os.stat(folder)):
                return handle
            os.close(handle)


def _lock(handle: int, kind: int) -> bool:
    """Lock an open folder; False where the file system has no locks."""
    try:
        fcntl.flock(handle, kind)
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise
        return False
    return True


def _delete(folder: Path, own: Sequence[Path], say: Callable[[str], None]) -> None:
    tidy(folder)
    for file in own:
        file.unlink(missing_ok=True)
    left = [*folder.iterdir()]
    others = sum(PIECE.fullmatch(file.name) is not None for file in left)
    if others:
        say(
            f"{folder} still holds {others} file{'s' * (others > 1)} of another set that was not "
            "finished; to finish it, rename the folder to NEW.parts and run its command with "
            "--out NEW; if it is not wanted, delete the folder"
        )
    else:
        for file in left:
            if OURS.fullmatch(file.name):
                file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something of the user's is in it
        folder.rmdir()
