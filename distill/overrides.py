"""Command lines from dataclasses, with a method's own configuration: `--method.power 1`."""

import dataclasses
from typing import Any, TypeVar

import tyro

T = TypeVar("T")


def parse(command: type[T], args: list[str], *, prog: str) -> tuple[T, list[str]]:
    """An instance of the dataclass `command` from `args`, and the flags that begin with `--method.`

    A wrong flag ends the process with 2 and names the nearest right one. With `--help`, flags
    that begin with `--method.` or name the method are left for `configure` to explain.
    """
    own = [arg for arg in args if arg.startswith(("--method", "--buffer"))]
    if own and "--help" in args:
        args = [arg for arg in args if arg != "--help"]
        return parse(command, args, prog=prog)[0], ["--help"]
    values, rest = tyro.cli(command, args=args, prog=prog, return_unknown_args=True)
    if any(flag.startswith("-") and not flag.startswith("--method.") for flag in rest) or (
        rest and not rest[0].startswith("--method.")
    ):
        tyro.cli(command, args=args, prog=prog)  # says what is wrong, and ends here
    return values, rest


def configure(preset: Any, flags: list[str], *, prog: str) -> Any:
    """`preset`, a method's Config, changed by `flags` such as ["--method.power", "1"]."""
    wrapper = dataclasses.make_dataclass(
        "Overrides",
        [("method", type(preset), dataclasses.field(default=preset))],
        frozen=True,
    )
    return tyro.cli(wrapper, args=flags, prog=prog).method
