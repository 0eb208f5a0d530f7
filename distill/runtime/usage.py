"""The words of a command line: the flags that there are, and what is wrong with others.

Values are not looked at here.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tyro

from distill.runtime.mistake import Mistake, short

METHOD = "--method."
"""What the flags of a part's own configuration begin with."""
QUOTED = "; put a value with braces or spaces in quotation marks"
"""A shell makes several words of such a value."""
LISTED = 250
"""Characters of all flags together, up to which a line lists them."""
NOT = "--no-"
"""What the flag begins with that takes another back, which has no value."""
ANY = -1
POSITIONAL = typing.get_args(tyro.conf.Positional[int])[1]


class Flag(NamedTuple):
    """A flag of a command, or a value that has none.

    Attributes:
        values: how many words follow it, or `ANY` number.
        kind: what a help text calls its value.
        needed: it may not be left out.
        bare: it is a value without a flag.
    """

    values: int
    kind: str = ""
    needed: bool = False
    bare: bool = False


def require(command: type, args: Sequence[str], *, prog: str, partly: bool = False) -> None:
    """Check that `args` are flags of the dataclass `command`, each with its value.

    Args:
        partly: flags that begin with `METHOD` are checked later, with the part's configuration.

    Raises:
        Mistake: a flag that there is not, naming the nearest right ones; one without its value; a
            word too many; a flag or a value that is needed and missing.
    """
    known = _flags(command)
    bare = [name for name, flag in known.items() if flag.bare]
    given, last, more = set(), "", 0
    for arg in args:
        if _is_flag(arg, more):
            _require_value(last, more, known)
            last, equals, _ = _plain(arg).partition("=")
            if partly and last.startswith(METHOD):
                more = ANY
            elif last not in known:
                raise _unknown(arg.partition("=")[0], known, prog=prog, partly=partly)
            elif equals and not known[last].values:
                raise Mistake(f"{last} takes no value; write {last}")
            else:
                more = 0 if equals else known[last].values
            given.add(last)
        elif more:
            more -= more > 0
        elif bare:
            given.add(bare.pop(0))
        else:
            raise _too_many(arg, last, known, prog=prog)
    _require_value(last, more, known)
    _require_needed(given, known, prog=prog)


def _flags(command: type) -> dict[str, Flag]:
    """All that a command takes, by name; those of a dataclass in it are a part's own."""
    known, hints = {}, typing.get_type_hints(command, include_extras=True)
    for field in dataclasses.fields(command):
        kind, marks = _bare_type(hints[field.name])
        if dataclasses.is_dataclass(kind):
            own = _flags(kind)
            known |= {f"{METHOD}{name.removeprefix('--')}": flag for name, flag in own.items()}
            continue
        needed = field.default is field.default_factory is dataclasses.MISSING
        name, bare = field.name.replace("_", "-"), POSITIONAL in marks
        values = 0 if kind is bool else ANY if typing.get_origin(kind) is tuple else 1
        one = typing.get_args(kind)[0] if values == ANY else kind
        flag = Flag(values, getattr(one, "__name__", "").upper(), needed, bare)
        known[name.upper() if bare else f"--{name}"] = flag
        if kind is bool:
            known[f"{NOT}{name}"] = flag
    return known


def _bare_type(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """A field's type without what it is annotated with and without None; and the annotations."""
    marks = getattr(kind, "__metadata__", ())
    if marks:
        inner, more = _bare_type(typing.get_args(kind)[0])
        return inner, (*marks, *more)
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return next(part for part in typing.get_args(kind) if part is not type(None)), marks
    return kind, marks


def _is_flag(arg: str, more: int) -> bool:
    """Whether a word is a flag: one with a single dash only where no value is awaited."""
    return arg.startswith("--") or (arg.startswith("-") and not more)


def _plain(arg: str) -> str:
    """A flag as the command has it, with dashes for underscores."""
    name, equals, value = arg.partition("=")
    return name.replace("_", "-") + equals + value


def _require_value(flag: str, more: int, known: Mapping[str, Flag]) -> None:
    if more > 0:
        raise Mistake(f"{flag} has no value; write {_spelled(flag, known[flag])}")


def _require_needed(given: set[str], known: Mapping[str, Flag], *, prog: str) -> None:
    needed = {name: flag for name, flag in known.items() if flag.needed}
    missing = [name for name in needed if name not in given]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        form = " ".join([prog, *(_spelled(*item) for item in needed.items())])
        raise Mistake(f"{' and '.join(missing)} {are} missing; write {form}")


def _spelled(name: str, flag: Flag) -> str:
    """`--to PATH`; a value without a flag by its name."""
    return name if flag.bare else f"{name} {flag.kind}"


def _unknown(flag: str, known: Mapping[str, Flag], *, prog: str, partly: bool) -> Mistake:
    """The `Mistake` for a flag that there is not: the nearest, then all, or where they stand."""
    flags = [name for name, found in known.items() if not found.bare]
    names = [name for name in flags if not name.startswith(NOT)]
    own = METHOD if flag.startswith(METHOD) else "--"
    near_to = flags if flag.startswith(NOT) else names
    stems = {name.removeprefix(own): name for name in near_to if name.startswith(own)}
    if own == METHOD and not stems:
        return Mistake(f"unknown flag '{short(flag)}'; this method has no settings; leave it out")
    near = difflib.get_close_matches(_plain(flag).removeprefix(own), stems, n=2, cutoff=0.6)
    near = [stems[stem] for stem in near]
    hint = f" did you mean {' or '.join(near)}?" if near else ""
    listed = ", ".join([*names, *([f"{METHOD}NAME"] if partly else [])])
    those = f"accepted: {listed}" if len(listed) <= LISTED else f"{prog} --help lists them all"
    return Mistake(f"unknown flag '{short(flag)}';{hint} {those}")


def _too_many(word: str, last: str, known: Mapping[str, Flag], *, prog: str) -> Mistake:
    """The `Mistake` for a word that follows no flag, or one that has its value already."""
    if not last:
        return Mistake(f"'{short(word)}' follows no flag; {prog} --help lists them all")
    takes = "one value" if known[last].values else "no value"
    quoted = QUOTED if known[last].kind in ("STR", "PATH") else ""
    return Mistake(f"{last} takes {takes}; leave out '{short(word)}'{quoted}")
