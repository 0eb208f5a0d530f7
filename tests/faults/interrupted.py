"""A command of ours, counting its steps, that may end itself in the middle of a write.

python interrupted.py COUNTER WHERE MODULE [ARG ...]

COUNTER: a file that grows by a byte for each class at each step on pixels, and for each network at
each step on weights, also over many runs.
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
from collections.abc import Callable
from typing import Any

EVERY = 0.2
"""Seconds between two checkpoints: runs here are short."""


def counted(function: Callable, counter: int, parts: Callable[..., int]) -> Callable:
    """The same function, each call of which adds a byte for each of its parts to an open file."""

    def call(*args: Any, **kwargs: Any) -> Any:
        os.write(counter, b"." * parts(*args))
        return function(*args, **kwargs)

    return call


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
    file = os.open(counter, os.O_CREAT | os.O_WRONLY | os.O_APPEND)  # from now on signals are heard
    if where != "-":
        name, number, how = where.split(":")
        failing(name, int(number), how)

    from distill import checkpoints, learn, train

    checkpoints.EVERY = EVERY
    learn._Learned.follow = counted(learn._Learned.follow, file, lambda own, *_: len(own.images))
    train.gradients = counted(train.gradients, file, lambda model, images, *_: len(images))
    sys.argv = [module, *args]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
