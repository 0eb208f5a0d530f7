"""A grid over the settings of a method, written as data: `power=1,2,4 every_layer=true`."""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from distill.runtime.mistake import Mistake, short, unknown

Read = Callable[[list[str]], Any]
"""From flags as of a command line to the configuration that they make of the one that is varied."""
MOST = 1000
"""Points of a grid; more are a slip."""
EXAMPLE = "power=1,2,4"
WORDS = {"true": True, "false": False}


def points(base: Any, vary: Sequence[str], read: Read, *, whole: bool) -> list[Any]:
    """The configurations of a grid, each once, `base` first.

    Args:
        base: the configuration that is varied, a dataclass.
        vary: axes as in `EXAMPLE`; commas within braces belong to a value.
        read: checks a value as it would be checked in a flag of its own.
        whole: all combinations; else one setting at a time, all others as in `base`.

    Raises:
        Mistake: no axis, one that is none or comes twice, a value that cannot be, or too many
            points.
    """
    axes = {name: [_value(base, name, text, read) for text in texts] for name, texts in _axes(vary)}
    for name, values in axes.items():
        if all(value == getattr(base, name) for value in values):
            raise Mistake(f"--vary {name} has no other value than it has anyway; give another")
    changes: Iterator[Iterable[tuple[str, Any]]] = (
        [(name, value)] for name, values in axes.items() for value in values
    )
    if whole:
        count = 1
        for values in axes.values():
            count *= len(values)
        if count > MOST:
            raise Mistake(f"--vary spells {count} settings; give at most {MOST}, or no --grid")
        changes = (zip(axes, values, strict=True) for values in itertools.product(*axes.values()))
    configs = [dataclasses.replace(base, **dict(change)) for change in changes]
    return list(dict.fromkeys([base, *configs]))


def _axes(vary: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Names of settings, and their values as text."""
    if not vary:
        raise Mistake(f"--vary is missing; name a setting and its values, as in {EXAMPLE}")
    axes: dict[str, list[str]] = {}
    for text in vary:
        name, _, values = text.partition("=")
        name, texts = name.replace("-", "_"), re.split(r",(?![^{}]*\})", values)
        if not name or "" in texts:
            raise Mistake(
                f"--vary {short(text)}: give a setting and its values, as in {EXAMPLE}, no value "
                "left out"
            )
        if name in axes:
            raise Mistake(f"--vary names {short(name)} twice; give all its values at once")
        axes[name] = texts
    return list(axes.items())


def _value(base: Any, name: str, text: str, read: Read) -> Any:
    """What a text stands for as a value of that setting."""
    fields = [field.name for field in dataclasses.fields(base)]
    if not fields:
        raise Mistake(
            f"--vary {short(name)}={short(text)}: this method has no settings; give another"
        )
    if name not in fields:
        raise unknown("setting of --vary", name, fields)
    flag = name.replace("_", "-")
    if not isinstance(getattr(base, name), bool):
        return getattr(read([f"--method.{flag}={text}"]), name)
    if text.lower() not in WORDS:
        raise Mistake(f"--vary {name}={short(text)}: give true or false")
    return WORDS[text.lower()]
