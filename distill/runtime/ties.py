"""A tie from each rank to rank 0, by which all know at once when one of them has ended.

A tie is a TCP connection. Over it goes a line when a rank ends for a reason; a process that dies
says none, but its connection breaks.
"""

import contextlib
import hmac
import os
import selectors
import signal
import socket
import threading
import time
from typing import NamedTuple

from distill.runtime import ending

PATIENCE = 10.0
"""Seconds for what takes no time: an answer, an end that was asked for."""
INTERRUPTED = b"interrupted"
AGAIN = "run the same command again: what is finished is kept"


class Reason(NamedTuple):
    """Why all ranks end: what this one is to say (nothing where rank 0 has), and the exit code."""

    text: str | None
    code: int


class Ties:
    """Of this rank. When another ends too early, this process gets a SIGTERM, and `reason` is set.

    Attributes:
        reason: why this rank must end, once it must.
    """

    def __init__(self, sockets: dict[socket.socket, int]) -> None:
        """`sockets` to other ranks, with their numbers."""
        self._sockets, self._lock = dict(sockets), threading.Lock()
        self.reason: Reason | None = None
        self._ending, self._over = False, threading.Event()
        for one in self._sockets:
            _keep_alive(one)
        threading.Thread(target=self._watch, daemon=True).start()

    def say(self, word: bytes) -> None:
        """Tell those at the other ends why this rank ends, `bye` if all is done."""
        self._ending = True
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.sendall(word + b"\n")

    def wait(self, seconds: float) -> bool:
        """Whether those at the other ends have ended, or end within so many seconds."""
        return self._over.wait(seconds)

    def _watch(self) -> None:
        open_ones, heard = selectors.DefaultSelector(), {}
        for one, rank in self._sockets.items():
            one.setblocking(True)
            open_ones.register(one, selectors.EVENT_READ, rank)
            heard[rank] = b""
        while open_ones.get_map():
            for key, _ in open_ones.select():
                try:
                    received = key.fileobj.recv(65536)
                except OSError:
                    received = b""
                heard[key.data] += received
                if received and not received.endswith(b"\n"):
                    continue
                open_ones.unregister(key.fileobj)
                self._heard(key.data, heard[key.data].rstrip(b"\n").decode(errors="replace"))
        self._over.set()
        with self._lock:
            for one in self._sockets:
                one.close()

    def _heard(self, rank: int, said: str) -> None:
        """Another rank ends, and said so, or did not."""
        word, _, text = said.partition(" ")
        if word == "bye" or self._ending or self.reason is not None:
            return
        if word == "end":  # of rank 0, which has said why
            self._end(Reason(None, int(text)))
        elif word == "error":
            own = text if "rank" in text else f"rank {rank}: {text}"  # most say it themselves
            self._end(Reason(own, 2))
        elif word == INTERRUPTED.decode():
            threading.Timer(
                2.0, self._end, [Reason(f"rank {rank} was interrupted; {AGAIN}", 2)]
            ).start()
        else:
            self._end(Reason(f"rank {rank} has died; all others stop; {AGAIN}", 2))

    def _end(self, reason: Reason) -> None:
        if self._ending:
            return
        self.reason = reason
        # Where the main thread is deep in a call that waits for a rank that is no more.
        line = f"error: {reason.text}" if reason.text else ""
        ending.instead(KeyboardInterrupt(), line, reason.code)
        os.kill(os.getpid(), signal.SIGTERM)


def listen() -> socket.socket:
    """The socket at which rank 0 hears of the others."""
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def accept(server: socket.socket, token: str, others: int, seconds: float) -> dict:
    """The ties of rank 0 to so many others; who does not know the token is sent away.

    Raises:
        TimeoutError: they did not come in time.
    """
    ties, until = {}, time.monotonic() + seconds
    while len(ties) < others:
        server.settimeout(max(0.1, until - time.monotonic()))
        one, _ = server.accept()
        one.settimeout(PATIENCE)
        with contextlib.suppress(OSError, ValueError):
            given, _, rank = _line(one).partition(" ")
            if hmac.compare_digest(given.encode(), token.encode()) and int(rank) >= 1:
                ties[one] = int(rank)
                continue
        one.close()
    server.close()
    return ties


def connect(host: str, port: int, token: str, rank: int) -> dict:
    """The tie of another rank to rank 0.

    Raises:
        OSError: there is nobody.
    """
    one = socket.create_connection((host, port), timeout=PATIENCE * 6)
    one.sendall(f"{token} {rank}\n".encode())
    return {one: 0}


def _line(one: socket.socket) -> str:
    line = b""
    while not line.endswith(b"\n"):
        byte = one.recv(1)
        if not byte or len(line) > 200:
            raise ValueError("no line")
        line += byte
    return line.decode().strip()


def _keep_alive(one: socket.socket) -> None:
    """So that a machine that is gone without a word is missed within a minute."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            one.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
