"""When two things are the same: sets, checkpoints, ledgers, ground truth, records.

A thing's identity is its kind, the names and VERSIONs of what made it, and those fields of its
configurations that differ from their defaults. So a new field whose default keeps the old meaning
changes no key, and a mended bug raises one VERSION and expires exactly what it made. Where things
lie (paths, devices, threads) is no part of an identity.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]


def changed(config: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, by name; nested ones likewise.

    A field without a default always counts; one that is not compared never does: where things lie.
    """
    own = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.compare and value != _default(field):
            own[field.name] = value
    return plain(own)


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def plain(value: Any) -> Any:
    """`value` in what JSON knows; a dataclass becomes its changed fields.

    Raises:
        TypeError: it holds something that has no identity, such as a tensor.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return changed(value)
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value  # 1.0 and 1 are the same
    raise TypeError(f"a {type(value).__name__} has no identity: {value!r:.80}")


def key(kind: str, facts: Facts, *, digits: int = 10) -> str:
    """The key of a thing of `kind` with these facts: so many hexadecimal digits of a sha256."""
    text = json.dumps([kind, plain(facts)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def digest(content: bytes, *, digits: int = 16) -> str:
    """Of a file's content: so many hexadecimal digits of its sha256."""
    return hashlib.sha256(content).hexdigest()[:digits]


def first_difference(ours: Facts, theirs: Facts, prefix: str = "") -> str | None:
    """The first field in which two identities differ, as `recipe.epochs: 20, not 1`; or None."""
    for name in sorted({*ours, *theirs}):
        mine, other = ours.get(name), theirs.get(name)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            inner = first_difference(mine, other, f"{prefix}{name}.")
            if inner:
                return inner
        elif mine != other:
            return f"{prefix}{name}: {_shown(other)}, not {_shown(mine)}"
    return None


def _shown(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 4:
        return f"{len(value)} values"
    return "the default" if value is None else str(value)
