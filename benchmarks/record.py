"""A record: the facts of one run, one JSON file, written when the run ends and never edited.

Every kind of experiment states in its `facts.py` what its records hold; that is checked when a
record is written and when it is read, and a digest inside shows any later change.
"""

import dataclasses
import functools
import importlib
import importlib.util
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic

from benchmarks.schema import Provenance, SetUsed, Spent
from distill.runtime import identity, reading, registry
from distill.runtime.files import write_atomically
from distill.runtime.mistake import Mistake, complain

RESULTS = Path(__file__).parent.parent / "results"
"""The committed results, when the suite is used from its repository."""

LINE = r"\n *"
"""Between the values of a list in JSON text; inside a value there is no line's end."""


class Expired(Mistake):
    """A record that is whole, and that today's code would make otherwise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One run.

    Attributes:
        kind: the folder of benchmarks/ that made it. version: of that kind's facts and meaning.
        label: what its row is called, e.g. `datadam power=1`; no part of what it is.
        protocol: what rows must share to stand in one table. cell: what sets this run apart.
        results: what was measured, in raw values. sets: that were used.
    """

    kind: str
    version: int
    label: str
    protocol: Any
    cell: Any
    results: Any
    sets: list[SetUsed]
    cost: Spent
    provenance: Provenance

    @functools.cached_property
    def protocol_key(self) -> str:
        """Equal for records that may stand in one table."""
        return identity.key("protocol", {"kind": self.kind, "protocol": self.protocol})

    @functools.cached_property
    def key(self) -> str:
        """Of what was run: the same run gets the same key."""
        return identity.key(
            "record",
            {
                "kind": self.kind,
                "version": self.version,
                "protocol": self.protocol,
                "cell": self.cell,
            },
        )

    @property
    def name(self) -> str:
        """The file name."""
        words = facts_of(self.kind).name(self.protocol, self.cell)
        return f"{self.kind}-{words}-{self.key}.json"

    @property
    def commit(self) -> str:
        """Of the code, shortened; `+` marks uncommitted changes."""
        clean = self.provenance.clean
        return (self.provenance.commit or "unknown")[:7] + ("" if clean else "+")

    def write(self, folder: Path) -> Path:
        """Write the record into `folder`, whole or not at all, and return its path.

        Raises:
            Mistake: the folder cannot be written to.
        """
        content = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        assert dataclasses.asdict(_parsed(content)) == dataclasses.asdict(self)
        path = folder / self.name
        text = json.dumps({**content, "digest": _digest(content)}, indent=1)
        # Lists of plain values on one line each, so that a record can be read.
        text = re.sub(r"\[\n *([^][{}]*?)\n *\]", lambda m: f"[{re.sub(LINE, ' ', m[1])}]", text)
        write_atomically(path, (text + "\n").encode())
        return path


def kinds() -> list[str]:
    """The kinds of experiment that have records of their own: those that state what these hold."""
    folders = registry.names("benchmarks", folders=True)
    return [kind for kind in folders if importlib.util.find_spec(f"benchmarks.{kind}.facts")]


def facts_of(kind: str) -> ModuleType:
    """The `facts.py` of a kind of experiment.

    Raises:
        Mistake: there is no such kind.
    """
    if kind not in kinds():
        raise Mistake(f"unknown kind of experiment '{kind}'; there are: {', '.join(kinds())}")
    return importlib.import_module(f"benchmarks.{kind}.facts")


def _digest(content: dict[str, Any]) -> str:
    return identity.digest(json.dumps(content, sort_keys=True).encode())


def _parsed(content: dict[str, Any]) -> Record:
    """The record that checked JSON content stands for.

    Raises:
        ValueError: a key is missing or unknown, or a value is not what the kind's facts say.
    """
    fields = {field.name for field in dataclasses.fields(Record)}
    if content.keys() != fields:
        wrong = ", ".join(sorted(content.keys() ^ fields))
        raise ValueError(f"these keys are missing or too many: {wrong}")
    module = facts_of(content["kind"])
    if type(content["version"]) is not int:
        raise ValueError(f"its version is {content['version']!r}")
    if content["version"] != module.VERSION:
        raise Expired(f"its form was at VERSION {content['version']} and is at {module.VERSION}")
    types = {
        "label": str,
        "protocol": module.Protocol,
        "cell": module.Cell,
        "results": module.Results,
        "sets": list[SetUsed],
        "cost": Spent,
        "provenance": Provenance,
    }
    parts = {}
    for name, kind in types.items():
        text = json.dumps(content[name], allow_nan=False)
        parts[name] = _adapter(kind).validate_json(text, strict=True)
    return Record(kind=content["kind"], version=content["version"], **parts)


@functools.cache
def _adapter(kind: Any) -> pydantic.TypeAdapter:
    """What checks a type; to make one takes longer than to read a record."""
    return pydantic.TypeAdapter(kind)


def read_one(path: Path) -> Record:
    """The record in a file.

    Raises:
        Mistake: no such file, not a record, or changed since it was written.
        Expired: what it was made with has another VERSION today.
    """
    try:
        content = json.loads(reading.whole(path))
        if not isinstance(content, dict) or "digest" not in content:
            raise ValueError("it holds no digest")
        if content.pop("digest") != _digest(content):
            raise ValueError("its content does not have the digest it names: it was changed")
        record = _parsed(content)
        for name, then, today in facts_of(record.kind).versions(record.protocol, record.cell):
            if then != today:
                raise Expired(f"{name} was at VERSION {then} and is at {today}")
        return record
    except Expired as error:
        raise Expired(f"{path} has expired: {error}; remove it and run its command") from error
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _refused(path, f"{error.title}.{where}: {first['msg']}") from error
    except OSError as error:
        raise _refused(path, error.strerror) from error
    except (ValueError, RecursionError) as error:
        raise _refused(path, str(error)) from error


def _refused(path: Path, why: str) -> Mistake:
    return Mistake(f"{path} is not a record to build on ({why}); remove it and run its command")


def read(folders: Sequence[Path], *, say: Callable[[str], None] = complain) -> list[Record]:
    """All records in the folders, sorted by file name; a later folder's replace an earlier's.

    Args:
        say: is told, in a line each, of those that have expired; they are left out.

    Raises:
        Mistake: a file there is no record, or bears another record's name.
    """
    records: dict[str, Record] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.json"))):
        try:
            record = read_one(path)
        except Expired as error:
            say(str(error))
            continue
        if record.name != path.name:
            raise _refused(path, f"its name should be {record.name}")
        records[path.name] = record
    return [records[name] for name in sorted(records)]
