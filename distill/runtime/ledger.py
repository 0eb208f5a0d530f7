"""Finished trials, kept one JSON line each, so that a killed run repeats none of them."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distill.runtime import identity, locks, origin, reading
from distill.runtime.files import write_atomically
from distill.runtime.mistake import Mistake, complain


class Ledger:
    """An append-only file of the trials made under one identity, by the network's name.

    The file's name holds the identity's key and its first line the identity, so trials under other
    data, seeds or training are never mixed up. Every line ends in a digest of itself and of the
    identity, so that none can stand in another ledger: a damaged line is left out, and its trial
    made again. A row of other code that was not committed is passed over too, and stays. Only one
    process at a time holds a ledger.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        facts: identity.Facts,
        *,
        say: Callable[[str], None] = complain,
    ) -> None:
        """Read what is there. `facts` must be all that the trials' results depend on.

        `say` is told in one line when a damaged file is set aside, which whoever holds it does.

        Raises:
            Mistake: the file cannot be read.
        """
        self.say = say
        self.facts = identity.plain(facts)
        self.key = identity.key("ledger", facts)
        self.path = folder / f"{name}-{self.key}.jsonl"
        self.rows: dict[str, dict[str, Any]] = {}
        self._whole: list[bytes] = []
        self._end = 0
        self._damage = ""
        origin.ours()  # what is edited from now on is not what makes trials
        self._read()

    def _read(self) -> None:
        """Take in the rows of the file, and note whether it is damaged."""
        content = self._content()
        whole = content[: content.rfind(b"\n") + 1]  # a torn last line is a trial not finished
        self.rows.clear()
        self._whole = []
        self._end, self._damage = len(whole), ""
        for number, line in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                row = _checked(line, self.key)
                if row.keys() == {"identity"}:
                    continue
                network, usable = row["network"], origin.usable(row.pop("code", None))
                self._whole.append(line + b"\n")
                if usable:
                    self.rows[network] = row
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self._damage = self._damage or f"line {number}: {error}"

    def _content(self) -> bytes:
        try:
            return reading.whole(self.path)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise Mistake(
                f"cannot read {self.path}: {error.strerror}; remove it, or choose another --out"
            ) from error

    def _mend(self) -> None:
        """Keep a damaged file under another name, and the rows that are whole under its own.

        The copy comes first, so that a kill at any time loses nothing.
        """
        if not self._damage:
            return
        aside, damage = self.path.with_suffix(".damaged"), self._damage
        write_atomically(aside, self._content())
        count = len(self._whole)
        first = _line({"identity": self.facts}, self.key)
        write_atomically(self.path, b"".join([first, *self._whole]))
        self._read()
        self.say(
            f"warning: {self.path} is not what it should be ({damage}); set aside as {aside}, and "
            f"its {count} whole trials kept"
        )

    def finished(self, network: str) -> dict[str, Any] | None:
        """The row of a network that need not be tried again: it has a result, or diverges."""
        row = self.rows.get(network)
        return row if row and row["status"] in ("trained", "diverged", "scored") else None

    def add(self, row: dict[str, Any]) -> None:
        """Append a trial and see it onto the disk.

        Raises:
            Mistake: the folder cannot be written to, or the disk is full; earlier rows are whole.
        """
        self._mend()
        lines = [] if self._end else [{"identity": self.facts}]
        labelled = {**row, "code": origin.ours().label()}
        content = b"".join(_line(line, self.key) for line in [*lines, labelled])
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

        What that process adds meanwhile is read when it lets go, and damage is mended.

        Raises:
            Mistake: the folder cannot be written to.
        """
        with locks.held(self.path, waiting):
            self._read()
            self._mend()
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
    return json.loads(text, parse_constant=reading.no_number)
