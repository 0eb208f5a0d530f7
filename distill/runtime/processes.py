"""One process that does jobs for its parent: how it starts, hears, answers and ends."""

import contextlib
import os
import pickle
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, parent_process, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import multiprocessing as processes

from distill.runtime import ending, origin
from distill.runtime.environment import variables
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Forward

PATIENCE = 1.0
"""Seconds that processes have to end; `ending.POLITE` are what the command has in all."""
MEMORY = "/dev/shm"
"""Where Linux keeps shared memory; in a container it is often small."""


class Worker(NamedTuple):
    """A process and the pipe to it."""

    process: Any
    pipe: Connection

    def receive(self) -> tuple:
        """Its next message: what kind it is of, and what is said.

        Raises:
            Mistake: it is dead.
        """
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            raise self._dead() from None

    def give(self, function: Callable, job: Any) -> None:
        """Have it do a job.

        Raises:
            Mistake: it is dead.
        """
        self._send(lambda pipe: pipe.send((function, job)))

    def _send(self, send: Callable[[Connection], None]) -> None:
        try:
            send(self.pipe)
        except OSError:
            raise self._dead() from None

    def _dead(self) -> Mistake:
        self.process.join()
        code = self.process.exitcode
        number = -code if code < 0 else code - 128  # of what killed it, or told it to end
        how = f"was killed (signal {number})" if number > 0 else f"ended (code {code})"
        why = ", most likely for want of memory" if number == signal.SIGKILL else ""
        return Mistake(
            f"a process at work {how}{why}; give --workers 1 and run the same command again: "
            "what is finished is kept"
        )


def end(workers: Sequence[Worker]) -> None:
    """End them as Ctrl-C ends a command: what they have in hand is interrupted, and may be kept.

    Who takes longer than `PATIENCE` is killed.
    """
    try:
        for worker in workers:
            worker.process.terminate()
        until = time.monotonic() + PATIENCE
        for worker in workers:
            worker.process.join(max(0.0, until - time.monotonic()))
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.pipe.close()


def start(number: int, shared: Any, workers: list[Worker]) -> None:
    """Add so many processes to `workers`, each as it starts."""
    context = processes.get_context("spawn")
    scarce = not _fits(shared)
    fresh = []
    with _surroundings():
        for _ in range(number):
            ours, theirs = context.Pipe()
            args = (theirs, None if scarce else shared, scarce, origin.ours())
            process = context.Process(target=_serve, args=args, daemon=True)
            fresh.append(Worker(process, ours))
            process.start()
            workers.append(fresh[-1])
            theirs.close()
    if scarce:
        content = pickle.dumps(shared, pickle.HIGHEST_PROTOCOL)
        for worker in fresh:
            worker._send(lambda pipe: pipe.send_bytes(content))


@contextlib.contextmanager
def _surroundings() -> Iterator[None]:
    """What a process gets from its parent: one thread, and no ear for Ctrl-C from the very start.

    A Ctrl-C that comes meanwhile reaches this process afterwards.
    """
    own = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    resource_tracker.ensure_running()  # it would undo the mask
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with variables(own):
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Size(pickle.Pickler):
    """Counts the bytes of all tensors in what it pickles, and copies none."""

    total = 0

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return NotImplemented
        self.total += value.untyped_storage().nbytes() * (not value.is_shared())
        return int, ()


class _Nowhere:
    def write(self, content: bytes) -> None:
        pass


def _fits(shared: Any) -> bool:
    """Whether there is room for the tensors in shared memory; each process has a copy if not."""
    if not os.path.isdir(MEMORY):
        return True
    size = _Size(_Nowhere())
    size.dump(shared)
    return size.total <= 0.9 * shutil.disk_usage(MEMORY).free


# ------------------------------------------------------------------ in another process


def _serve(pipe: Connection, shared: Any, scarce: bool, parents: origin.Origin) -> None:
    """Do jobs until there is no parent, or until it asks for an end (SIGTERM)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    origin.adopt(parents)
    torch.set_num_threads(1)
    with ending.quietly(), contextlib.suppress(EOFError):
        if scarce:
            shared = pickle.loads(pipe.recv_bytes())  # from our own parent
        progress = Forward(
            lambda *step: pipe.send(("step", *step)), lambda text: pipe.send(("say", text))
        )
        while True:
            function, job = pipe.recv()
            try:
                pipe.send(("result", function(shared, job, progress)))
            except Mistake as mistake:
                pipe.send(("mistake", str(mistake)))
            except Exception:  # whatever a job raises is raised by the parent
                pipe.send(("error", traceback.format_exc()))


def _end_with_parent() -> None:
    connection.wait([parent_process().sentinel])
    os._exit(1)
