"""Jobs that do not depend on each other, on as many processes as pay, one thread each.

A job is a call of a top-level function with what all jobs share, plain values of its own and a
`Progress`. Its result is a plain value too: tensors go through a store. Under torchrun each rank
does its share of the jobs, and every rank gets all results; jobs and results are then what JSON
knows (a tuple arrives as a list).
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import connection
from typing import Any

import torch

from distill.runtime import cores, processes, ranks
from distill.runtime.jobs import POLL, Jobs, ResultStore, Unkept
from distill.runtime.mistake import Mistake
from distill.runtime.processes import Worker
from distill.runtime.progress import Forward, Progress, Together

Function = Callable[[Any, Any, Progress], Any]
"""Of what is shared, the job and its progress; top-level, in a file that is not `__main__`."""


class Workers:
    """Processes that start when jobs first need them, and all end with the `with`.

    Whatever ends it (Ctrl-C, an error in a job, this process killed), no process is left.

    with Workers(shared, shape=(3, 32, 32), device=device, progress=progress) as workers:
        accuracies = list(workers.run(train, jobs, what="networks trained", steps=1000))
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
        self._workers: list[Worker] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes soon, whatever they are doing; an interrupted job keeps what it can."""
        workers, self._workers = self._workers, []
        processes.end(workers)

    def count(self, jobs: int, steps: float) -> int:
        """How many processes of each rank will do so many jobs of so many steps."""
        given, device, own = self.given, self.device, -(-jobs // ranks.world())
        return cores.count(own, steps, shape=self.shape, device=device, given=given)

    def run(
        self,
        function: Function,
        jobs: Iterable[Any],
        *,
        what: str,
        steps: float,
        kept: ResultStore | None = None,
        size: Callable[[Any], int] = lambda job: 1,
    ) -> Iterator[Any]:
        """The results of all jobs, in their order; one process is this one.

        Args:
            what: is counted, in the plural: "networks trained". size: how many of them a job is.
            kept: has results of earlier runs and gets the new ones; None keeps nothing.

        Raises:
            Mistake: a job raised it, or a process was killed.
            RuntimeError: a job raised something else, in another process; with its traceback.
        """
        held, following = {}, 0
        finished = self.finished(function, jobs, what=what, steps=steps, kept=kept, size=size)
        for place, result in finished:
            held[place] = result
            while following in held:
                yield held.pop(following)
                following += 1

    def finished(
        self,
        function: Function,
        jobs: Iterable[Any],
        *,
        what: str,
        steps: float,
        kept: ResultStore | None = None,
        size: Callable[[Any], int] = lambda job: 1,
    ) -> Iterator[tuple[int, Any]]:
        """As `run`, with each job's number, as they finish."""
        kept = kept or Unkept()
        # Ranks that looked for themselves might not see the same.
        jobs, known, steps = ranks.decided(lambda: (*_looked_up([*jobs], kept), steps))
        results = dict(known)
        waiting = [number for number in range(len(jobs)) if number not in results]
        if jobs:
            sizes = [size(job) for job in jobs]
            if results:
                there = sum(sizes[number] for number in results)
                self.progress.say(f"found {there} of {sum(sizes)} {what}")
            together = Together(self.progress, what, sizes, done=results)
        yield from results.items()
        if not waiting:
            return
        own = {number: jobs[number] for number in waiting[ranks.rank() :: ranks.world()]}
        with contextlib.closing(Jobs(own, kept, self.progress.say)) as left:
            done = self._done(function, left, self.count(len(waiting), steps), together)
            yield from done if ranks.world() == 1 else _exchanged(done, together)

    def _done(
        self, function: Function, jobs: Jobs, number: int, together: Together
    ) -> Iterator[tuple[int, Any]]:
        """What is done in this process, or in so many others."""
        if number == 1:
            for place, job, result in jobs:
                if result is None:
                    own = Forward(lambda *step, n=place: together.take(n, *step), self.progress.say)
                    result = function(self.shared, job, own)
                    jobs.put(place, result)
                together.finish(place)
                yield place, result
            return
        try:
            self._start(number)
            yield from self._shared_out(function, jobs, number, together)
        except BaseException:  # also when nobody wants the other results
            self.close()
            raise

    def _start(self, number: int) -> None:
        missing = number - len(self._workers)
        if missing > 0:
            self.progress.say(f"{number} processes, one thread each")
            processes.start(missing, self.shared, self._workers)

    def _shared_out(
        self, function: Function, jobs: Jobs, number: int, together: Together
    ) -> Iterator[tuple[int, Any]]:
        idle, busy = self._workers[:number], {}
        while jobs or busy:
            while idle and (taken := jobs.take()) is not None:
                place, job, result = taken
                if result is not None:
                    together.finish(place)
                    yield place, result
                    continue
                worker = idle.pop()
                busy[worker.pipe] = worker, place
                worker.give(function, job)
            if not busy:
                time.sleep(POLL)  # all that is left is in other hands
                continue
            for pipe in connection.wait(list(busy), POLL if jobs and idle else None):
                worker, place = busy[pipe]
                kind, *content = worker.receive()
                if kind == "result":
                    idle.append(busy.pop(pipe)[0])
                    jobs.put(place, content[0])
                    together.finish(place)
                    yield place, content[0]
                else:
                    self._hear(kind, content, place, together)

    def _hear(self, kind: str, content: list, place: int, together: Together) -> None:
        """What a process says of the job `place` that it has in hand."""
        if kind == "step":
            together.take(place, *content)
        elif kind == "say":
            self.progress.say(*content)
        elif kind == "mistake":
            raise Mistake(*content)
        else:
            raise RuntimeError(f"in another process:\n{content[0]}")


def _looked_up(jobs: list[Any], kept: ResultStore) -> tuple[list[Any], list[tuple[int, Any]]]:
    """The jobs, and the results that there are of them, with their numbers."""
    results = ((number, kept.get(job)) for number, job in enumerate(jobs))
    return jobs, [(number, result) for number, result in results if result is not None]


def _exchanged(done: Iterable[tuple[int, Any]], together: Together) -> Iterator[tuple[int, Any]]:
    """What all ranks have done, in the order of the jobs, once all have."""
    mine: list[tuple[int, Any]] = []
    others = ranks.Others(together.elsewhere, together.progress.say)
    for place, result in done:
        mine.append((place, result))
        others.told(together.sizes[place])
    parts = ranks.exchange(mine, meanwhile=others.look)
    yield from sorted({place: result for part in parts for place, result in part}.items())
