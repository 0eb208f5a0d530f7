"""Finished trials, kept one JSON line each, so that a killed run repeats none of them."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distill.runtime import identity
from distill.runtime.mistake import Mistake


class Ledger:
    """An append-only file of the trials made under one identity, by the network's name.

    The file's name holds the identity's key and its first line the identity, so trials under other
    data, seeds or training are never mixed up. Every line ends in a digest of itself and of the
    identity, so that none can stand in another ledger. Only one process at a time holds a ledger.
    """

    def __init__(self, folder: Path, name: str, facts: identity.Facts) -> None:
        """Read what is there. `facts` must be all that the trials' results depend on.

        Raises:
            Mistake: the file is damaged; the message names the line.
        """
        self.facts = identity.plain(facts)
        self.key = identity.key("ledger", facts)
        self.path = folder / f"{name}-{self.key}.jsonl"
        self.rows: dict[str, dict[str, Any]] = {}
        self._end = 0
        self._read()

    def _read(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]  # a torn last line is a trial not finished
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row = _checked(line, self.key)
                if number > 1:
                    self.rows[row["network"]] = row
            except (ValueError, KeyError, TypeError) as error:
                raise Mistake(
                    f"{self.path} is damaged at line {number} ({error}); delete that file, or that "
                    "line and all after it, and run again"
                ) from error
        self._end = len(whole)

    def finished(self, network: str) -> dict[str, Any] | None:
        """The row of a network that need not be tried again: trained, or known to diverge."""
        row = self.rows.get(network)
        return row if row and row["status"] in ("trained", "diverged") else None

    def add(self, row: dict[str, Any]) -> None:
        """Append a trial and see it onto the disk.

        Raises:
            Mistake: the folder cannot be written to, or the disk is full; earlier rows are whole.
        """
        lines = [] if self._end else [{"identity": self.facts}]
        content = b"".join(_line(line, self.key) for line in [*lines, row])
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab") as file:
                file.truncate(self._end)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Mistake(
                f"cannot write {self.path}: {error.strerror}; make room, then run the same "
                "command again"
            ) from error
        self._end += len(content)
        self.rows[row["network"]] = row

    @contextlib.contextmanager
    def held(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Keep other processes from this ledger; `waiting()` is called once if one has it now.

        What that process adds meanwhile is read when it lets go.

        Raises:
            Mistake: the folder cannot be written to.
        """
        lock = self.path.with_suffix(".lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            lock.touch()
        except OSError as error:
            raise Mistake(f"cannot write {lock}: {error.strerror}; choose another --out") from error
        with open(lock, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            self._read()
            yield


def _line(row: dict[str, Any], key: str) -> bytes:
    """A row as a line of the ledger with that key, with its digest at the end.

    Raises:
        ValueError: it holds a number that is not finite.
    """
    text = json.dumps(row, allow_nan=False)
    return f"{text}\t{_digest(text.encode(), key)}\n".encode()


def _digest(text: bytes, key: str) -> str:
    return identity.digest(key.encode() + text)


def _checked(line: bytes, key: str) -> dict[str, Any]:
    """The row of a line of the ledger with that key, if its digest is right.

    Raises:
        ValueError: it is not.
    """
    text, _, digest = line.rpartition(b"\t")
    if _digest(text, key) != digest.decode("ascii", "replace"):
        raise ValueError("its digest does not fit")
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")
