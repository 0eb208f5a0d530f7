"""How one of several ranks begins and ends: what its launcher says, how it meets the others."""

import contextlib
import dataclasses
import datetime
import itertools
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from distill.runtime import ties
from distill.runtime.mistake import Mistake
from distill.runtime.ties import INTERRUPTED, PATIENCE, Reason, Ties

ARRIVE = 300.0
"""Seconds that ranks may start apart."""
HOURS = datetime.timedelta(days=365)
"""A rank may work for long while the others wait; that one has died is known otherwise."""

_meetings = itertools.count()
"""Of all commands that this process has been a rank of."""


@dataclasses.dataclass
class Part:
    """This process's part in a command.

    Attributes:
        local: its place among the `here` ranks of its machine.
        store, gloo, ties: to the others, once there are. alone: the others did not come.
        meetings, stages, lines: so many there were, on each rank as many.
    """

    rank: int
    world: int
    local: int
    here: int
    store: Any = None
    gloo: Any = None
    ties: Ties | None = None
    meetings: int = 0
    stages: int = 0
    lines: int = 0
    alone: bool = False


def surroundings() -> Part | None:
    """What torchrun or another launcher says of this process in the environment.

    Raises:
        Mistake: it is not whole, or makes no sense.
    """
    given = os.environ.get
    if (given("WORLD_SIZE") or "1") == "1":
        return None
    start = "start with torchrun, or unset WORLD_SIZE to use one process"
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
        if not given(name):
            raise Mistake(f"WORLD_SIZE is {given('WORLD_SIZE')} but {name} is not set; {start}")
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT"):
        if not given(name, "0").isdecimal():
            raise Mistake(f"{name} is '{given(name)}', which is no number; {start}")
    size, number = int(given("WORLD_SIZE")), int(given("RANK"))
    if number >= size:
        raise Mistake(f"RANK {number} is none of {size} ranks, 0 to {size - 1}; {start}")
    here = int(given("LOCAL_WORLD_SIZE", size))
    return Part(number, size, int(given("LOCAL_RANK", number % max(1, here))), max(1, here))


def leave(part: Part) -> None:
    """All is done here; the others need not be."""
    if part.ties is not None:
        part.ties.say(b"bye")


def end(part: Part, error: BaseException) -> NoReturn:
    """End for what was raised, or for what ended the others: one rank says it, and all end."""
    if isinstance(error, Mistake) and part.ties is None and not part.alone:
        with contextlib.suppress(Exception):  # the mistake is what matters
            connect(part, PATIENCE * (2 if part.rank == 0 else 6))
    own = part.ties
    if own is None:
        raise error
    reason = _reason(own, error)
    if reason is not None:
        own.say(f"end {reason.code}".encode())
        if reason.text is None:
            raise SystemExit(reason.code)
        raise Mistake(reason.text)
    if part.rank == 0:
        own.say(f"end {_code(error)}".encode())
    elif isinstance(error, KeyboardInterrupt):
        own.say(INTERRUPTED)
    else:
        own.say(f"error {' '.join(str(error).split()) or type(error).__name__}".encode())
        if isinstance(error, Mistake) and own.wait(PATIENCE):
            raise SystemExit(2)
    raise error


def _reason(own: Ties, error: BaseException) -> Reason | None:
    """Why this rank must end, if that is what interrupted it, or broke off a call."""
    if isinstance(error, Mistake | SystemExit):
        return None
    # A launcher's signal, or a connection of gloo's that breaks, may come before the tie's word.
    until = time.monotonic() + (0.3 if isinstance(error, KeyboardInterrupt) else 1)
    while own.reason is None and type(error) is not KeyboardInterrupt and time.monotonic() < until:
        time.sleep(0.02)
    return own.reason


def _code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 130 if type(error) is KeyboardInterrupt else 143
    return 2


def connect(part: Part, seconds: float = ARRIVE) -> None:
    """Meet the other ranks for the first time.

    Raises:
        Mistake: they are not there.
    """
    if part.ties is not None:
        return
    if part.here == part.world and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nobody outside is to reach it
    import torch.distributed as distributed

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    try:
        store = distributed.TCPStore(
            host,
            port,
            part.world,
            part.rank == 0 and not agent,
            datetime.timedelta(seconds=seconds),
            wait_for_workers=False,
        )
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        name = f"distill/{attempt}/{next(_meetings)}"
        part.store = distributed.PrefixStore(name, store)
        part.ties = Ties(_tied(part, host, seconds))
    except (OSError, distributed.DistError) as error:
        part.alone = True
        raise Mistake(
            f"rank {part.rank} does not reach all {part.world} ranks by way of {host}:{port} "
            f"within {seconds:.0f} s ({' '.join(str(error).split()):.80}); start as many"
        ) from error
    group = distributed.PrefixStore("gloo", part.store)
    # Not torch's default group: libraries that see one take it for theirs.
    part.gloo = distributed.ProcessGroupGloo(group, part.rank, part.world, HOURS)


def _tied(part: Part, host: str, seconds: float) -> dict[socket.socket, int]:
    if part.rank == 0:
        server, token = ties.listen(), secrets.token_hex(16)
        part.store.set("tie", f"{server.getsockname()[1]} {token}")
        return ties.accept(server, token, part.world - 1, seconds)
    until(lambda: part.store.check(["tie"]), longest=seconds)
    port, token = part.store.get("tie").decode().split()
    return ties.connect(host, int(port), token, part.rank)


def until(
    done: Callable[[], bool],
    *,
    longest: float = float("inf"),
    meanwhile: Callable[[], None] | None = None,
) -> None:
    """Wait, with an ear for signals.

    Raises:
        TimeoutError: after the `longest` time, in seconds.
    """
    pause, until = 0.005, time.monotonic() + longest
    while not done():
        if time.monotonic() > until:
            raise TimeoutError("nobody came")
        if meanwhile is not None:
            meanwhile()
        time.sleep(pause)
        pause = min(2 * pause, 0.5)
