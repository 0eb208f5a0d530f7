"""Finished results, kept as plain values and found again by their identity.

A `Work` is a folder of them, one JSON file each. `FinishedJobs` shows those of a list of jobs to
`Workers`, which then does only what is lacking, and shares it with other runs of the same jobs.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distill.runtime import identity, locks, reading
from distill.runtime.files import set_aside, write_atomically

ROOMS = ("distill", "downstream", "benchmarks")
LIBRARIES = ("torch", "avalanche-lib", "numpy")
"""Whose code the results depend on."""


@functools.cache
def code() -> str:
    """The digest of the code that makes results, its libraries' versions included, at first call.

    It belongs to the facts of every kept result, so that none of other code is taken for one of
    this; sets have VERSIONs instead, since they are dear and must outlive a change of words. A
    command calls it before its work: what is edited meanwhile is not what runs.
    """
    root = Path(__file__).parent.parent.parent
    files = [file for room in ROOMS for file in (root / room).rglob("*.py") if file.is_file()]
    parts = [f"{name} {version(name)}".encode() for name in LIBRARIES]
    for file in sorted(files):
        parts += [os.path.relpath(file, root).encode(), file.read_bytes()]
    return identity.digest(b"\0".join(parts), digits=12)


@dataclasses.dataclass(frozen=True)
class Work:
    """A folder of finished results: plain values, as JSON knows them.

    Attributes:
        folder: made when the first result is kept.
        say: told in one line when a damaged file is set aside.
    """

    folder: Path
    say: Callable[[str], None] = lambda line: None

    def path(self, name: str, facts: identity.Facts) -> Path:
        """Where the result of that identity lies; `name` is for people."""
        return self.folder / f"{name}-{identity.key('work', facts)}.json"

    def get(self, name: str, facts: identity.Facts) -> Any | None:
        """The result of that identity, or None where it has to be made.

        A damaged file, or one that holds another result, is set aside under another name.

        Raises:
            Mistake: it cannot be set aside, or not be read just now.
        """
        path = self.path(name, facts)
        try:
            return _checked(reading.whole(path), identity.plain(facts))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            reading.require_lasting(path, error)
            set_aside(path, error, self.say)
            return None

    def put(self, name: str, facts: identity.Facts, value: Any) -> None:
        """Keep a finished result: numbers, texts, None, lists, and mappings with texts as keys.

        Raises:
            ValueError: a number in it is not finite.
            Mistake: the folder cannot be written to.
        """
        content = {"identity": identity.plain(facts), "value": value}
        assert json.loads(_text(content)) == content, "not a plain value"
        text = json.dumps({**content, "digest": _digest(content)}, allow_nan=False)
        write_atomically(self.path(name, facts), f"{text}\n".encode())


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False)


def _digest(content: dict[str, Any]) -> str:
    return identity.digest(_text(content).encode())


def _checked(content: bytes, facts: dict[str, Any]) -> Any:
    """The value in a file that `Work.put` wrote.

    Raises:
        ValueError: it is damaged, or holds another result.
    """
    held = json.loads(content)
    if not isinstance(held, dict) or held.keys() != {"identity", "value", "digest"}:
        raise ValueError("it holds no result")
    if _digest({name: held[name] for name in ("identity", "value")}) != held["digest"]:
        raise ValueError("its content does not have the digest it names: it was changed")
    if held["identity"] != facts:
        raise ValueError("it holds another result")
    return held["value"]


@dataclasses.dataclass(frozen=True)
class FinishedJobs:
    """The finished results of some jobs: what `Workers` does not do again.

    Attributes:
        name_of: a job's name for people. facts_of: all that its result depends on.
        found: the files of the results that were there already.
    """

    work: Work
    name_of: Callable[[Any], str]
    facts_of: Callable[[Any], identity.Facts]
    found: set[Path] = dataclasses.field(default_factory=set)

    def get(self, job: Any) -> Any | None:
        """The result of a job, or None where it has to be made."""
        name, facts = self.name_of(job), self.facts_of(job)
        result = self.work.get(name, facts)
        if result is not None:
            self.found.add(self.work.path(name, facts))
        return result

    def was_there(self, job: Any) -> bool:
        """Whether the result of a job was made by another run than this one."""
        return self.work.path(self.name_of(job), self.facts_of(job)) in self.found

    def put(self, job: Any, result: Any) -> None:
        """Keep the result of a job.

        Raises:
            Mistake: the folder cannot be written to.
        """
        self.work.put(self.name_of(job), self.facts_of(job), result)

    def claim(self, job: Any) -> AbstractContextManager[bool]:
        """Within it, whether the job is this process's to do; False if another has it now.

        A claim of a process that died is none.
        """
        return locks.tried(self.work.path(self.name_of(job), self.facts_of(job)))
