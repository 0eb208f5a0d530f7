"""Command lines from dataclasses; a part's own configuration comes after: `--method.power 1`."""

import contextlib
import dataclasses
import io
import re
from typing import Annotated, Any, TypeVar

import tyro

from distill.runtime.mistake import Mistake

T = TypeVar("T")


def chosen(help: str, *names: str) -> Any:
    """An annotated string type for a flag that takes one of `names`, listed in its help."""
    return Annotated[str, tyro.conf.arg(help=f"{help}: {', '.join(names)}.")]


def parse(command: type[T], args: list[str], *, prog: str) -> tuple[T, list[str]]:
    """An instance of the dataclass `command` from `args`, and the flags that begin with `--method.`

    With `--help` and the method named, the help is left for `configure` to give.

    Raises:
        Mistake: a flag that there is not, naming the nearest right one, or a value of a wrong type.
    """
    own = [arg for arg in args if arg.startswith(("--method", "--buffer"))]
    if own and "--help" in args:
        args = [arg for arg in args if arg != "--help"]
        return parse(command, args, prog=prog)[0], ["--help"]
    values, rest = cli(command, args, prog=prog, return_unknown_args=True)
    strangers = [flag for flag in rest if flag.startswith("--") and flag[:9] != "--method."]
    if strangers or (rest and not rest[0].startswith("--method.")):
        cli(command, args, prog=prog)  # says what is wrong, and ends here
    return values, rest


def configure(given: T, flags: list[str], *, prog: str) -> T:
    """The configuration `given`, changed by flags such as ["--method.power", "1"].

    Raises:
        Mistake: an unknown flag, or a value that cannot be.
    """
    wrapper = dataclasses.make_dataclass(
        "Overrides", [("method", type(given), dataclasses.field(default=given))], frozen=True
    )
    return cli(wrapper, flags, prog=prog).method


def differences(given: Any, config: Any) -> dict[str, Any]:
    """The fields in which `config` differs from `given`, of the same dataclass."""
    before, after = dataclasses.asdict(given), dataclasses.asdict(config)
    return {name: value for name, value in after.items() if before[name] != value}


def cli(command: type, args: list[str], *, prog: str, **kwargs: Any) -> Any:
    """`tyro.cli`, with its boxed complaints as a `Mistake` in one line."""
    written = io.StringIO()
    try:
        with contextlib.redirect_stderr(written):
            return tyro.cli(command, args=args, prog=prog, **kwargs)
    except Mistake:
        raise
    except SystemExit as end:
        if end.code != 2:
            raise
        lines = [line.strip("│ ") for line in written.getvalue().splitlines()]
        kept = [line for line in lines if line and not re.match("[╭─╰]", line)]
        complaint = " ".join(kept).removeprefix("Error parsing method: ")  # a Mistake of ours
        raise Mistake(complaint.replace(" For full helptext, ", "; ")) from None
