"""One process at a time for a piece of work, on machines that share its folder.

The kernel lets a lock go when its process ends, however it ends. Where a file system has no locks
nobody waits: what two runs make of one piece is equal, and is written by rename.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from distill.runtime import ending
from distill.runtime.mistake import Mistake

LOCKLESS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def held(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Keep other processes, and threads, from what `path` stands for.

    The file `path`.lock is there meanwhile. `waiting()` is called once if another has it now.

    Raises:
        Mistake: the folder cannot be written to.
    """
    lock = _beside(path)
    handle = _take(lock)
    if handle is None:
        waiting()
        handle = _take(lock, wait=True)
    try:
        yield
    finally:
        _release(lock, handle)


@contextlib.contextmanager
def tried(path: Path) -> Iterator[bool]:
    """As `held`, but gives False at once where another has it, and True where it is ours now.

    Raises:
        Mistake: the folder cannot be written to.
    """
    lock = _beside(path)
    handle = _take(lock)
    try:
        yield handle is not None
    finally:
        _release(lock, handle)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _take(lock: Path, *, wait: bool = False) -> int | None:
    """The open and locked file, or None where another has it and we do not wait."""
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_CREAT | os.O_RDWR, 0o644)
        except OSError as error:
            raise Mistake(f"cannot write {lock}: {error.strerror}; choose another --out") from error
        try:
            ours = _locked(handle, lock, wait=wait)
        except BaseException:
            os.close(handle)
            raise
        if ours and _is(handle, lock):
            ending.TEMPORARY.add(str(lock))
            return handle
        os.close(handle)
        if not ours:
            return None


def _locked(handle: int, lock: Path, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise Mistake(f"cannot lock {lock}: {error.strerror}; choose another --out") from error
    return True


def _is(handle: int, lock: Path) -> bool:
    """Whether the open file is still the one of that name: who had it may have deleted it."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(lock))
    except FileNotFoundError:
        return False


def _release(lock: Path, handle: int | None) -> None:
    if handle is None:
        return
    with contextlib.suppress(OSError):
        os.unlink(lock)  # while we have it: who waits for it sees that it is another's
    ending.TEMPORARY.discard(str(lock))
    os.close(handle)


@contextlib.contextmanager
def all_held(paths: Iterable[Path], waiting: Callable[[], None]) -> Iterator[None]:
    """As `held`, of many; `waiting()` is called once if another process has some of them.

    Whoever takes several takes them in the same order, so that no two wait for each other.
    """
    told = iter([waiting])
    with contextlib.ExitStack() as stack:
        for path in sorted(paths):
            stack.enter_context(held(path, lambda: next(told, lambda: None)()))
        yield
