"""A set's file where a command takes a method's name."""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks import command as shared
from distill import choices
from distill.methods import SET as NAME
from distill.runtime import ranks
from distill.runtime.flags import HELP, cli
from distill.runtime.mistake import Mistake

if TYPE_CHECKING:
    from benchmarks.record import Record

T = TypeVar("T")
FLAGS = ("buffer", "proxy", "method")
"""Those that take a method's name."""
FILE = "--method.file"
LONGEST = 40
"""Characters of a file's name in a row's label."""


NOTE = """\
(set): the images of a file. They were made before the class orders and outside their steps, so they
may have seen later classes; what making them took is not known here.
"""


def is_set(value: str | None) -> bool:
    """Whether a file is meant: not a method, nor another name that the commands know."""
    if value is None or value.endswith(choices.ENDING):
        return value is not None
    if not os.path.isfile(value):
        return False
    from downstream.continual import reference
    from downstream.nas import proxy

    return value not in (*reference.NAMES, *proxy.names())


def opened(command: T, flags: list[str], args: Sequence[str], *, prog: str) -> tuple[T, list[str]]:
    """The command and the method's flags, where it names a file: for the set in that.

    One set, with as many images a class as it holds, is what is asked for then.

    Args:
        args: as they were given: a default is none of them.

    Raises:
        Mistake: there is no such set, it is of another dataset, or what was asked for besides has
            no meaning with it.
    """
    given: Any = command
    flag = next((f for f in FLAGS if is_set(getattr(given, f, None))), None)
    if flag is None:
        for one in FLAGS:
            if getattr(given, one, None) == NAME:
                raise Mistake(f"--{one} {NAME} is no method; give a set's file by its name")
        return command, flags
    path = getattr(given, flag)
    if not HELP.isdisjoint(flags):
        cli(type(command), ["--help"], prog=prog)
    if flags:
        raise Mistake(f"{flags[0]} has no meaning with --{flag} {path}, which is made already")
    ipc, words = _held(given, path)
    fixed = {"ipc": ipc} | ({"sets": 1} if hasattr(given, "sets") else {})
    asked = {arg.partition("=")[0] for arg in args}
    for name, value in fixed.items():
        if f"--{name}" in asked and getattr(given, name) != value:
            held = f"one set of {ipc} image{'s' * (ipc > 1)} a class"
            raise Mistake(
                f"--{name} {getattr(given, name)}: {path} holds {held}; leave --{name} out"
            )
    ranks.progress().say(f"{path}: {words}")
    if hasattr(given, "proxy"):
        fixed |= {"proxy": NAME, "method": None}
    else:
        fixed |= {flag: NAME}
    return dataclasses.replace(given, **fixed), [f"{FILE}={path}"]


def _held(command: Any, path: str) -> tuple[int, str]:
    """The images a class of the set in a file, and what it is, in words.

    Raises:
        Mistake: there is none, or it is not of the command's dataset.
    """
    from distill.sets import stored
    from distill.synthetic import SyntheticSet

    small = SyntheticSet.load(Path(path))
    ipc, made = stored.require_fit(small, shared.about(command), path), small.made
    whitened = ", learned as ZCA-whitened" if made.normalisation.get("zca") is not None else ""
    return ipc, f"{ipc} a class of {made.dataset['name']}, {made.method}{whitened}"


def seconds(record: "Record") -> float | None:
    """The wall clock that one set of a record took, on average; None where a file was given."""
    if record.cell.making.method == NAME:
        return None
    return round(sum(s.seconds for s in record.sets) / record.cell.making.sets, 1)


def label(flags: Sequence[str], usual: str) -> str:
    """What a row is called: after the file, if `opened` put one into `flags`.

    Args:
        usual: what it is called otherwise; of a set's file what follows its settings is kept.
    """
    file = next((f.partition("=")[2] for f in flags if f.startswith(f"{FILE}=")), None)
    if file is None:
        return usual
    stem = re.sub(r"[^\w.+=-]+", "-", Path(file).name.removesuffix(choices.ENDING))[:LONGEST]
    own = ("digest=", "file=", "formation=")
    further = [word for word in usual.split(" ")[1:] if not word.startswith(own)]
    return " ".join([stem or NAME, "(set)", *further])
