"""How a command ends that is told to, by Ctrl-C or SIGTERM: soon, in one line, leaving nothing.

The main thread gets a `KeyboardInterrupt`, ends its processes and closes its files on the way out,
and the line is said. A second thread sees to it where that takes too long: the main thread is deep
in a library's C code, or a library being imported has swallowed the interrupt. Either deletes what
the process, or those it started, left in `TEMPORARY`, and libraries in the command's own folder
for temporary files.

Only commands have this (`mistake.one_line`), and the processes that work for them, whose parent
asks them to end; a process that uses the suite as a library keeps its own ways.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

from distill.runtime import early, scratch
from distill.runtime.early import SIGNALS, heard, leading

POLITE = 1.2
"""Seconds that the main thread has for its way out."""
LAST = 0.5
"""Seconds for one thread to end and delete what is left, while the other waits."""
WRITING = 20.0
"""Seconds that a write in hand may take."""

TEMPORARY: set[str] = set()
"""Files that must not be left when this process ends."""

_last: list[Callable[[], None]] = []
_writing: list[int] = []
"""The threads that do something that is done whole, each as often as it does."""
_current: "_Ending | None" = None


class Terminated(KeyboardInterrupt):
    """A signal other than Ctrl-C's told this process to end."""


def at_last(clean: Callable[[], None]) -> None:
    """Call `clean` when a command has ended its processes, however it ends."""
    _last.append(clean)


def instead(error: BaseException, line: str, code: int) -> None:
    """Where the interrupt was turned into `error`, say that line, or "", and end with that code."""
    while _current is not None and error is not None:
        if isinstance(error, KeyboardInterrupt):
            _current.line, _current.code = line, code
        error = error.__context__


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """What is done within is done whole: in a command, an interrupt is raised right after it."""
    thread = threading.get_ident()
    _writing.append(thread)
    try:
        yield
    finally:
        _writing.remove(thread)
        if _current is not None:
            _current.interrupt_if_held()


@contextlib.contextmanager
def command() -> Iterator[None]:
    """Within this a command runs.

    Elsewhere than in a process's main thread, and within itself, it does nothing.
    """
    main = threading.current_thread() is threading.main_thread()
    if _current is not None or not main:
        yield
        return
    with scratch.own(), _heard(_Ending()):
        yield


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """As `command`, in a process that works for one: it says nothing, its parent does."""
    ending = _Ending()
    ending.line = ""
    with _heard(ending):
        yield


@contextlib.contextmanager
def _heard(ending: "_Ending") -> Iterator[None]:
    global _current
    _current = ending
    try:
        ending.open()
        yield
    finally:
        ending.close()
        _current = None


class _Ending:
    """Of one command, from when it can be told to end.

    Attributes:
        number: of the signal that told it to; 0 before.
        over: whether no interrupt is raised any more. held: one waits for the end of a write.
        line, code: with which it ends then; None stands for the usual ones.
    """

    def __init__(self) -> None:
        self.number, self.over, self.held = 0, False, False
        self.line: str | None = None
        self.code: int | None = None
        self.main, self.at_it = threading.get_ident(), threading.Lock()
        self.before: dict[int, Any] = {}
        self.excepthook = sys.excepthook
        try:
            self.stderr: int | None = os.dup(2)
        except OSError:  # closed
            self.stderr = None
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)

    def open(self) -> None:
        """Begin to hear."""
        threading.Thread(target=self._watch, name="ending", daemon=True).start()
        self.wakeup = signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)
        sys.excepthook = self._uncaught
        for number in heard():
            self.before[number] = signal.getsignal(number)
            signal.signal(number, self._hear)

    def close(self) -> None:
        """Hear no more, and end the process if it was told to."""
        self.over = True
        if self.number:
            self.end()
        for clean in _last:
            clean()
        for number, handler in self.before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self.wakeup)
        sys.excepthook = self.excepthook
        if self.number:
            self.end()
        os.write(self.writer, bytes(1))
        if self.stderr is not None:
            os.close(self.stderr)

    # ------------------------------------------------------------------ in the main thread

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._begin(number)
        if self.over:
            return
        self.over = True
        if self.main in _writing:
            self.held = True
        else:
            raise self._interrupt()

    def interrupt_if_held(self) -> None:
        """Raise the interrupt that waits for the end of a write, at its end."""
        if self.held and threading.get_ident() == self.main and self.main not in _writing:
            self.held = False
            raise self._interrupt()

    def _interrupt(self) -> KeyboardInterrupt:
        return KeyboardInterrupt() if self.number == signal.SIGINT else Terminated()

    def _uncaught(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if self.number:
            self.end()
        self.excepthook(kind, error, trace)

    # ------------------------------------------------------------------ in either

    def _begin(self, number: int) -> None:
        """From here on only the line is said: libraries complain when they are interrupted."""
        if self.number:
            return
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        self.number = number

    def end(self) -> NoReturn:
        """End the process, its processes and its temporary files."""
        code = 128 + self.number if self.code is None else self.code
        if self.at_it.acquire(blocking=False):
            if threading.get_ident() == self.main:
                self._finish_writing()
            with contextlib.suppress(Exception):
                _kill_children()
            with contextlib.suppress(Exception):
                _clean()
            with contextlib.suppress(Exception):
                scratch.remove()
            self._say()
            if threading.get_ident() == self.main:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
        else:
            time.sleep(LAST)
        os._exit(code)

    def _finish_writing(self) -> None:
        until = time.monotonic() + WRITING
        while _writing and time.monotonic() < until:
            time.sleep(0.01)

    def _say(self) -> None:
        line = self.line if self.line is not None else early.line() * leading()
        if self.stderr is None or not line:
            return
        with contextlib.suppress(OSError):
            start = "\n" if os.isatty(self.stderr) else ""
            if select.select([], [self.stderr], [], 0)[1]:
                os.write(self.stderr, f"{start}{line}\n".encode())

    # ------------------------------------------------------------------ in the other thread

    def _watch(self) -> None:
        while True:
            for number in os.read(self.reader, 64):
                if number == 0:
                    os.close(self.reader)
                    os.close(self.writer)
                    return
                if number in SIGNALS:
                    self._begin(number)
                    time.sleep(POLITE)
                    self._finish_writing()
                    self.end()


def _copied() -> None:
    """A copy of the process, by fork, keeps the ways of other processes."""
    global _current
    if _current is None:
        return
    signal.set_wakeup_fd(-1)
    for number in _current.before:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)
    _current = None


os.register_at_fork(after_in_child=_copied)


def _clean() -> None:
    for path in list(TEMPORARY):
        with contextlib.suppress(OSError):
            os.unlink(path)
    for clean in _last:
        clean()


def _kill_children() -> None:
    """End all processes that this one or those started; Python's own helper ends by itself."""
    import psutil

    tracker = sys.modules.get("multiprocessing.resource_tracker")
    spared = getattr(getattr(tracker, "_resource_tracker", None), "_pid", None)
    children = [p for p in psutil.Process().children(recursive=True) if p.pid != spared]
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(children, timeout=LAST)
