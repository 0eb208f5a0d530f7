"""Command lines from dataclasses; a part's own configuration comes after: `--method.power 1`."""

import contextlib
import dataclasses
import io
import os
import re
import types
import typing
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from distill.runtime import registry, usage
from distill.runtime.mistake import Mistake, short, unknown

T = TypeVar("T")
HELP = {"--help", "-h"}
LONGEST = 1000
"""Characters of an argument."""
MOST_SAID = 380
"""Characters of what is said of a value."""
LONGEST_NAME = 240
"""Bytes of a file's name: a little below what file systems take, for what is put behind it."""


class Among(NamedTuple):
    """Of a flag's type: the names that it takes, those given and the files of `package`.

    Attributes:
        file: the ending of a user's files, which it takes too, as any file that is there.
    """

    names: tuple[str, ...]
    package: str | None = None
    file: str | None = None

    def check(self, flag: str, value: str) -> None:
        """Refuse another name.

        Raises:
            Mistake: it is not among them.
        """
        own = registry.names(self.package) if self.package else []
        if self.file and (value.endswith(self.file) or os.path.isfile(value)):
            return
        if value not in (*self.names, *own):
            raise unknown(flag.replace("-", " "), value, (*own, *self.names))


class Within(NamedTuple):
    """Of a flag's type: the least and the most that it takes."""

    least: int
    most: int

    def check(self, flag: str, value: int) -> None:
        """Refuse a number beyond.

        Raises:
            Mistake: it is not within them.
        """
        if value < self.least:
            raise Mistake(f"--{flag} {short(value)}: give {self.least} or more")
        if value > self.most:
            raise Mistake(f"--{flag} {short(value)}: give at most {self.most}")


class Assumed(NamedTuple):
    """Of a flag's type: what its value is taken for where help is asked for and it is not given.

    Attributes:
        value: of all the values of a command.
    """

    value: Callable[[Any], Any]


def chosen(help: str, *names: str, package: str | None = None, file: str | None = None) -> Any:
    """An annotated string type for a flag that takes one of some names, listed in its help.

    Args:
        names: that are taken, beside those of the files in `package`.
        file: the ending of a user's files, if those are taken too.
    """
    listed = ", ".join([*(registry.names(package) if package else []), *names])
    listed += f"; or FILE{file}, a set" if file else ""
    return Annotated[str, tyro.conf.arg(help=f"{help}: {listed}."), Among(names, package, file)]


def parse(command: type[T], args: list[str], *, prog: str) -> tuple[T, list[str]]:
    """An instance of the dataclass `command` from `args`, and the flags that begin with `--method.`

    With `--help` and the method named, the help is left for `configure` to give.

    Raises:
        Mistake: a flag that there is not, naming the nearest right one, or a value of a wrong type.
    """
    own = [arg for arg in args if arg.startswith(("--method", "--buffer"))]
    if own and not HELP.isdisjoint(args):
        args = [arg for arg in args if arg not in HELP]
        return _with_assumed(parse(command, args, prog=prog)[0]), ["--help"]
    return cli(command, args, prog=prog, return_unknown_args=True)


def _with_assumed(values: T) -> T:
    """A command of which help is asked for, with what its other flags ask for."""
    changes = {}
    for name, kind in typing.get_type_hints(type(values), include_extras=True).items():
        for part in getattr(kind, "__metadata__", ()):
            if isinstance(part, Assumed) and getattr(values, name) is None:
                changes[name] = part.value(values)
    return dataclasses.replace(values, **changes)


def configure(given: T, flags: list[str], *, prog: str, command: type) -> T:
    """The configuration `given`, changed by flags such as ["--method.power", "1"].

    With `--help` it shows these flags beside those of the dataclass `command`, and ends here.

    Raises:
        Mistake: an unknown flag, or a value that cannot be.
    """
    own = Annotated[type(given), tyro.conf.arg(name="method")]  # `method` is the command's own
    field = ("settings", own, dataclasses.field(default=given))
    both = dataclasses.make_dataclass("Both", [field], bases=(command,), frozen=True)
    both.__doc__ = command.__doc__
    return cli(both, flags, prog=prog).settings


def differences(given: Any, config: Any) -> dict[str, Any]:
    """The fields in which `config` differs from `given`, of the same dataclass."""
    before, after = dataclasses.asdict(given), dataclasses.asdict(config)
    return {name: value for name, value in after.items() if before[name] != value}


def cli(command: type, args: Sequence[str], *, prog: str, **kwargs: Any) -> Any:
    """`tyro.cli`, with its boxed complaints as a `Mistake` in one line.

    Raises:
        Mistake: also for an argument that is too long or cannot be printed, a flag that is given
            twice, words as `usage.require` refuses them, and a value that its flag's type
            (`chosen`, `Within`) does not take.
    """
    _require_sound(args)
    partly = kwargs.get("return_unknown_args", False)
    if HELP.isdisjoint(args):
        usage.require(command, args, prog=prog, partly=partly)
    written = io.StringIO()
    try:
        with contextlib.redirect_stderr(written):
            answer = tyro.cli(command, args=args, prog=prog, registry=_values(), **kwargs)
    except Mistake:
        raise
    except SystemExit as end:
        if end.code != 2:
            raise
        raise Mistake(_complaint(written.getvalue(), prog)) from None
    _check(command, answer[0] if partly else answer)
    return answer


def _require_sound(args: Sequence[str]) -> None:
    """Refuse what no message could show, and a flag whose second value would hide its first."""
    seen = set()
    for before, arg in zip(["", *args], args, strict=False):
        flag = f"{before} " if before.startswith("--") and not arg.startswith("--") else ""
        if len(arg) > LONGEST:
            raise Mistake(f"{flag}{short(ascii(arg))}: {len(arg)} characters are too many")
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in arg):
            raise Mistake(f"{flag}{short(ascii(arg))}: leave out what cannot be printed")
        if not arg.startswith("--"):
            continue
        flag = "--" + arg.partition("=")[0][2:].replace("_", "-").removeprefix("no-")
        if flag in seen:
            braces = before.startswith(f"{flag}=") and arg.startswith(f"{flag}=")
            raise Mistake(f"{flag} is given twice; give it once{usage.QUOTED if braces else ''}")
        seen.add(flag)


def _check(command: type, values: Any) -> None:
    """Of every field of a command whose type says what it takes."""
    hints = typing.get_type_hints(command, include_extras=True)
    for field in dataclasses.fields(command):
        value = getattr(values, field.name)
        for limit in _limits(hints[field.name]) if value is not None else ():
            limit.check(field.name.replace("_", "-"), value)


def _limits(kind: Any) -> list[Among | Within]:
    """Those that a type is annotated with, also as one of several."""
    own = [
        limit for limit in getattr(kind, "__metadata__", ()) if isinstance(limit, Among | Within)
    ]
    return own + [limit for part in typing.get_args(kind) for limit in _limits(part)]


def _complaint(box: str, prog: str) -> str:
    """What tyro says of a value, without its frame, its title and the help on the flag."""
    lines = [line.strip("│ ") for line in box.splitlines()]
    lines = [line for line in lines if line and not re.fullmatch("[╭╰─-].*[╮╯─-]", line)]
    if lines and not box.lstrip().startswith("╭"):  # a plain frame, whose title is a line
        lines = lines[1:]
    text = " ".join(lines).removeprefix("Error parsing settings: ")  # a Mistake of ours
    text = re.sub("( Argument helptext:.*)? For full helptext, .*", "", text)
    return f"{short(text, MOST_SAID)}; see {prog} --help"


# ------------------------------------------------------------------ values


def _values() -> ConstructorRegistry:
    """How text becomes a number or a path: only what can be no accident."""
    constructors = ConstructorRegistry()

    def rule(kind: type, read: Callable[[str], Any], metavar: str) -> None:
        @constructors.primitive_rule
        def _(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
            if info.type is not kind:
                return None
            return PrimitiveConstructorSpec(
                nargs=1,
                metavar=metavar,
                instance_from_str=lambda words: read(words[0]),
                is_instance=lambda value: isinstance(value, kind),
                str_from_instance=lambda value: [str(value)],
            )

    @constructors.primitive_rule
    def _(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        """Of a flag that may be left out: None is not for users."""
        kinds = [kind for kind in typing.get_args(info.type) if kind is not type(None)]
        if info.type_origin not in (types.UnionType, typing.Union) or len(kinds) > 1:
            return None
        own = PrimitiveTypeInfo.make(kinds[0], info.markers)
        spec = ConstructorRegistry.get_primitive_spec(own)
        return dataclasses.replace(
            spec,
            is_instance=lambda value: value is None or spec.is_instance(value),
            str_from_instance=lambda value: (
                ["None"] if value is None else spec.str_from_instance(value)
            ),
        )

    rule(int, _integer, "INT")
    rule(float, _number, "FLOAT")
    rule(Path, _path, "PATH")
    return constructors


def _integer(text: str) -> int:
    if re.fullmatch("[+-]?[0-9]+", text) is None:
        raise ValueError(f"'{short(text)}' is not a whole number; give one in plain digits")
    return int(text)


def _number(text: str) -> float:
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) is None:
        raise ValueError(f"'{short(text)}' is not a finite number; give one like 0.5 or 1e-3")
    return float(text)


def _path(text: str) -> Path:
    if not text.strip():
        raise ValueError("an empty name is no path; name a file or a folder")
    if any(len(os.fsencode(name)) > LONGEST_NAME for name in text.split("/")):
        raise ValueError(f"'{short(text)}' has a name of more than {LONGEST_NAME} bytes")
    return Path(text)
