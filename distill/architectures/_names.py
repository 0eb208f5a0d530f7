"""How the families read a network's name: a first word, then parts joined by dashes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from distill.runtime.mistake import Mistake, short, unknown

MOST = {"depth": 64, "width": 4096, "heads": 64}
"""Of the numbers in names: beyond, a network fits no machine."""
OTHERWISE = 4096
"""Of a number that `MOST` does not know, as a family's own may be."""


def chosen(
    name: str,
    first: Sequence[str],
    *,
    words: Mapping[str, tuple[str, str]] | None = None,
    numbers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The fields that the parts of `name` choose, in any order; fields left out are left out.

    Args:
        name: e.g. `convnet-w64-batch`.
        first: the accepted first words.
        words: for a part that is a word, the field and its value.
        numbers: for the letter before a whole number from 1 on, the field.

    Raises:
        Mistake: an unknown first word or part, or a field named twice.
    """
    words, numbers = words or {}, numbers or {}
    start, *parts = name.split("-")
    if start not in first:
        raise unknown("network", name, first)
    if parts and not (words or numbers):
        raise Mistake(f"network '{short(name)}': {start} has no variants; name it {start} alone")
    accepted = [f"{letter}<{field}>" for letter, field in numbers.items()] + list(words)
    fields: dict[str, Any] = {}
    for part in parts:
        if part[:1] in numbers and re.fullmatch("[1-9][0-9]{0,8}", part[1:]):
            field, value = numbers[part[0]], int(part[1:])
            most = MOST.get(field, OTHERWISE)
            if value > most:
                raise Mistake(
                    f"network '{short(name)}' has a {field} of {value}; choose at most {most}"
                )
        elif part in words:
            field, value = words[part]
        else:
            raise unknown(f"part in network '{short(name)}'", part, accepted)
        if field in fields:
            raise Mistake(f"network '{short(name)}' names its {field} twice; name it once")
        fields[field] = value
    return fields
