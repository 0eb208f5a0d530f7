"""How a command ends that is told to during its first imports; `ending` is for what comes after.

This is imported first of all, and imports nothing that takes time.
"""

import atexit
import os
import signal

LINE = "stopped; run the same command again to go on"
BEFORE = "stopped; there was nothing to keep yet"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_begun = True
"""Of a process that does not `hear` nobody tells when its work begins."""


def begin() -> None:
    """Work begins, or a file is written: whoever stops the command now can have it go on."""
    global _begun
    _begun = True


def line() -> str:
    """What a command says that is told to end."""
    return LINE if _begun else BEFORE


def hear() -> None:
    """From now on a signal ends this process with a line, at once: there is nothing to finish.

    When all is done and Python itself ends, signals are ignored: else it would take the default.
    """
    global _begun
    _begun = False
    for number in heard():
        signal.signal(number, _end)
    atexit.register(_pass_over)


def heard() -> list[int]:
    """The signals that this process has not been told to ignore."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _pass_over() -> None:
    for number in heard():
        signal.signal(number, signal.SIG_IGN)


def leading() -> bool:
    """Whether this process speaks: of those that torchrun started, one does."""
    return os.environ.get("RANK", "0") == "0"


def _end(number: int, frame: object) -> None:
    try:
        if leading():
            os.write(2, f"{line()}\n".encode())
    except OSError:  # nobody listens
        pass
    os._exit(128 + number)
