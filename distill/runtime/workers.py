"""Jobs that do not depend on each other, on as many processes as pay, one thread each.

A job is a call of a top-level function with what all jobs share, plain values of its own and a
`Progress`. Its result is a plain value too: tensors go through a store.
"""

import contextlib
import os
import pickle
import shutil
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import connection, parent_process, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import multiprocessing as processes

from distill.runtime import cores
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Forward, Progress, Together

Function = Callable[[Any, Any, Progress], Any]
"""Of what is shared, the job and its progress; top-level, in a file that is not `__main__`."""

MEMORY = "/dev/shm"
"""Where Linux keeps shared memory; in a container it is often small."""


class _Worker(NamedTuple):
    process: Any
    pipe: Connection


class Workers:
    """Processes that start when jobs first need them, and all end with the `with`.

    Whatever ends it (Ctrl-C, an error in a job, this process killed), no process is left.

    with Workers(shared, shape=(3, 32, 32), device=device, progress=progress) as workers:
        accuracies = list(workers.run(train, jobs, what="training", steps=1000))
    """

    def __init__(
        self,
        shared: Any,
        *,
        shape: Sequence[int],
        device: torch.device,
        progress: Progress,
        given: int | None = None,
    ) -> None:
        """`shared` reaches each process once, its tensors through shared memory.

        Raises:
            Mistake: a number of processes that cannot be.
        """
        cores.require(given, device)
        self.shared, self.shape, self.device = shared, shape, device
        self.progress, self.given = progress, given
        self.most = cores.most(given, device)
        self._workers: list[_Worker] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes at once, whatever they are doing."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []

    def count(self, jobs: int, steps: float) -> int:
        """How many processes will do so many jobs of so many steps."""
        given, device = self.given, self.device
        return cores.count(jobs, steps, shape=self.shape, device=device, given=given)

    def run(
        self, function: Function, jobs: Iterable[Any], *, what: str, steps: float
    ) -> Iterator[Any]:
        """The results of all jobs, in their order; one process is this one.

        Raises:
            Mistake: a job raised it, or a process was killed.
            RuntimeError: a job raised something else, in another process; with its traceback.
        """
        held, following = {}, 0
        for place, result in self.finished(function, jobs, what=what, steps=steps):
            held[place] = result
            while following in held:
                yield held.pop(following)
                following += 1

    def finished(
        self, function: Function, jobs: Iterable[Any], *, what: str, steps: float
    ) -> Iterator[tuple[int, Any]]:
        """As `run`, with each job's number, as they finish."""
        waiting = deque(enumerate(jobs))
        if not waiting:
            return
        together = Together(self.progress, what, len(waiting))
        number = self.count(len(waiting), steps)
        if number == 1:
            for place, job in waiting:
                own = Forward(lambda *step, n=place: together.take(n, *step), self.progress.say)
                result = function(self.shared, job, own)
                together.finish(place)
                yield place, result
            return
        try:
            self._start(number)
            yield from self._shared_out(function, waiting, number, together)
        except BaseException:  # also when nobody wants the other results
            self.close()
            raise

    def _shared_out(
        self, function: Function, waiting: deque, number: int, together: Together
    ) -> Iterator[tuple[int, Any]]:
        idle, busy = self._workers[:number], {}
        while idle or busy:
            while idle and waiting:
                worker, (place, job) = idle.pop(), waiting.popleft()
                busy[worker.pipe] = worker, place
                _sent(worker, lambda pipe, job=job: pipe.send((function, job)))
            if not busy:
                return
            for pipe in connection.wait(list(busy)):
                worker, place = busy[pipe]
                kind, *content = _received(worker)
                if kind == "result":
                    idle.append(busy.pop(pipe)[0])
                    together.finish(place)
                    yield place, content[0]
                elif kind == "step":
                    together.take(place, *content)
                elif kind == "say":
                    self.progress.say(*content)
                elif kind == "mistake":
                    raise Mistake(*content)
                else:
                    raise RuntimeError(f"in another process:\n{content[0]}")

    def _start(self, number: int) -> None:
        missing = number - len(self._workers)
        if missing <= 0:
            return
        self.progress.say(f"{number} processes, one thread each")
        context = processes.get_context("spawn")
        scarce = not _fits(self.shared)
        fresh = []
        with _surroundings():
            for _ in range(missing):
                ours, theirs = context.Pipe()
                args = (theirs, None if scarce else self.shared, scarce)
                process = context.Process(target=_serve, args=args, daemon=True)
                fresh.append(_Worker(process, ours))
                process.start()
                self._workers.append(fresh[-1])
                theirs.close()
        if scarce:
            content = pickle.dumps(self.shared, pickle.HIGHEST_PROTOCOL)
            for worker in fresh:
                _sent(worker, lambda pipe: pipe.send_bytes(content))


@contextlib.contextmanager
def _surroundings() -> Iterator[None]:
    """What a process gets from its parent: one thread, and no ear for Ctrl-C from the very start.

    A Ctrl-C that comes meanwhile reaches this process afterwards.
    """
    own = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    before = {name: os.environ.get(name) for name in own}
    resource_tracker.ensure_running()  # it would undo the mask
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _received(worker: _Worker) -> tuple:
    """The next message of a process.

    Raises:
        Mistake: it is dead.
    """
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        raise _dead(worker) from None


def _sent(worker: _Worker, send: Callable[[Connection], None]) -> None:
    """Send something to a process.

    Raises:
        Mistake: it is dead.
    """
    try:
        send(worker.pipe)
    except OSError:
        raise _dead(worker) from None


def _dead(worker: _Worker) -> Mistake:
    worker.process.join()
    code = worker.process.exitcode
    how = f"was killed (signal {-code})" if code < 0 else f"ended (code {code})"
    why = ", most likely for want of memory" if code == -signal.SIGKILL else ""
    return Mistake(
        f"a process at work {how}{why}; give --workers 1 and run the same command again: "
        "finished sets and trials are kept"
    )


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


def _serve(pipe: Connection, shared: Any, scarce: bool) -> None:
    """Do jobs until there is no parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    with contextlib.suppress(EOFError):
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
