"""A user's mistake: said in one line, exit code 2, no traceback."""

import contextlib
import difflib
import os
import sys
from collections.abc import Iterable, Iterator

from distill.runtime import early, ending


class Mistake(ValueError):
    """What was given, what is accepted and what to do, in one line."""


def short(value: object, most: int = 60) -> str:
    """`value` as a line shows it: of a longer text its beginning."""
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def complain(line: str) -> None:
    """Say a line on stderr."""
    print(line, file=sys.stderr)


def unknown(what: str, given: str, accepted: Iterable[str]) -> Mistake:
    """The `Mistake` for a name that is not in the list `accepted`: the nearest, then all."""
    accepted = list(accepted)
    near = difflib.get_close_matches(given, accepted, n=3, cutoff=0.6)
    hint = f" did you mean {' or '.join(near)}?" if near else ""
    return Mistake(f"unknown {what} '{short(given)}';{hint} accepted: {', '.join(accepted)}")


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Run a command: a `Mistake` ends the process with one line on stderr and exit code 2.

    Ctrl-C ends it with 130 and SIGTERM with 143, as `ending` says, and a reader that closed our
    output early (`| head`) with 141.
    """
    with ending.command():
        try:
            yield
            sys.stdout.flush()
        except Mistake as mistake:
            line = f"error: {' '.join(str(mistake).split())}"
            ending.instead(mistake, line, 2)
            print(line, file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print(early.line(), file=sys.stderr)
            sys.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(141)
