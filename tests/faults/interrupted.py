"""A command of ours, counting its steps, that may end itself in the middle of a write.

python interrupted.py COUNTER WHERE MODULE [ARG ...]

COUNTER: the file in which `counting` counts; its time changes when the command hears signals.
WHERE: `-`, or `fsync:3:KILL` and the like: at the third call of os.fsync or os.replace, before
it, the process gets a signal; or `fsync:3:ENOSPC` (EIO, EROFS): the call fails so.
"""

if __name__ == "__main__":
    from distill.runtime import early

    early.hear()

import errno
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

import counting


def failing(name: str, number: int, how: str) -> None:
    """Let the call `number` of os.fsync or os.replace meet a signal or an error."""
    function, calls = getattr(os, name), [0]

    def call(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            if not hasattr(errno, how):
                os.kill(os.getpid(), getattr(signal, f"SIG{how}"))
            else:
                code = getattr(errno, how)
                raise OSError(code, os.strerror(code))
        return function(*args, **kwargs)

    setattr(os, name, call)


def main() -> None:
    """Run what the command line says."""
    counter, where, module, *args = sys.argv[1:]
    Path(counter).touch()  # from now on signals are heard
    os.environ[counting.COUNTER] = counter
    if where != "-":
        name, number, how = where.split(":")
        failing(name, int(number), how)
    counting.count()
    sys.argv = [module, *args]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
