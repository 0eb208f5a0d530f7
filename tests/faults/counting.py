"""Steps counted while a command runs, in its own process and in those that work for it."""

import os
from collections.abc import Callable
from typing import Any

COUNTER = "COUNTER_OF_STEPS"
"""Names the file that grows by a byte for each class at each step on pixels, and for each network
at each step on weights, also over many runs."""
EVERY = 0.1
"""Seconds between two checkpoints: runs here are short."""


def count() -> None:
    """From now on, in this process and those that it starts."""
    from distill import checkpoints, learn
    from distill.runtime import processes
    from distill.training import train

    file = os.open(os.environ[COUNTER], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    checkpoints.EVERY = EVERY
    learn._Learned.follow = counted(learn._Learned.follow, file, lambda own, *_: len(own.images))
    train.gradients = counted(train.gradients, file, lambda model, images, *_: len(images))
    processes._serve = serve


def counted(function: Callable, file: int, parts: Callable[..., int]) -> Callable:
    """The same function, each call of which adds a byte for each of its parts to an open file."""

    def call(*args: Any, **kwargs: Any) -> Any:
        os.write(file, b"." * parts(*args))
        return function(*args, **kwargs)

    return call


def serve(*given: Any) -> None:
    """What a process does that works for a command, counting."""
    from distill.runtime import processes

    work = processes._serve
    count()
    work(*given)
