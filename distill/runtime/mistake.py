"""A user's mistake: said in one line, exit code 2, no traceback."""

import contextlib
import difflib
import os
import sys
from collections.abc import Iterable, Iterator


class Mistake(ValueError):
    """What was given, what is accepted and what to do, in one line."""


def unknown(what: str, given: str, accepted: Iterable[str]) -> Mistake:
    """The `Mistake` for a name that is not in the list `accepted`, naming the nearest ones."""
    accepted = list(accepted)
    near = difflib.get_close_matches(given, accepted, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return Mistake(f"unknown {what} '{given}'; accepted: {', '.join(accepted)}{hint}")


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """End the process with one line on stderr and exit code 2 when a `Mistake` comes up.

    Ctrl-C ends it with 130, and a reader that closed our output early (`| head`) with 141.
    """
    try:
        yield
        sys.stdout.flush()
    except Mistake as mistake:
        print(f"error: {' '.join(str(mistake).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
