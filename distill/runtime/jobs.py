"""Jobs that wait, of which none is done that an earlier run has done or another run has in hand."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

POLL = 0.3
"""Seconds between two looks at what another run has in hand."""


class ResultStore(Protocol):
    """Where results of jobs are kept. A result is not None."""

    def get(self, job: Any) -> Any | None:
        """The result of a job that was done before, or None."""

    def put(self, job: Any, result: Any) -> None:
        """Keep a result."""

    def claim(self, job: Any) -> AbstractContextManager[bool]:
        """Whether the job is ours to do while the context lasts; never waits for another run."""


class Unkept:
    """Every job is ours, and nothing is kept."""

    def get(self, job: Any) -> None:
        """Nothing was done before."""

    def put(self, job: Any, result: Any) -> None:
        """Nothing is kept."""

    def claim(self, job: Any) -> AbstractContextManager[bool]:
        """There is no other run."""
        return contextlib.nullcontext(True)


class Jobs:
    """Those that wait, by number. One that another run has in hand waits for the others.

    The claims to jobs that were taken are held until their results are put, or all is closed.
    """

    def __init__(
        self, jobs: Mapping[int, Any], kept: ResultStore, say: Callable[[str], None]
    ) -> None:
        self._waiting, self._elsewhere = deque(jobs.items()), deque()
        self._kept, self._say = kept, say
        self._taken: dict[int, tuple[Any, contextlib.ExitStack]] = {}
        self._looked, self._said = 0.0, False

    def __len__(self) -> int:
        """How many nobody has taken from here."""
        return len(self._waiting) + len(self._elsewhere)

    def __iter__(self) -> Iterator[tuple[int, Any, Any]]:
        """All of them, as `take`; waits for other runs."""
        while len(self):
            taken = self.take()
            if taken is None:
                time.sleep(POLL)
            else:
                yield taken

    def take(self) -> tuple[int, Any, Any] | None:
        """A job's number, the job, and its result if it was done meanwhile: else it is to be done.

        None where no job waits, or other runs have in hand all that do.
        """
        if not self._waiting and time.monotonic() - self._looked >= POLL:
            self._waiting, self._elsewhere = self._elsewhere, self._waiting
            self._looked = time.monotonic()
        while self._waiting:
            number, job = self._waiting.popleft()
            with contextlib.ExitStack() as claim:
                if not claim.enter_context(self._kept.claim(job)):
                    self._elsewhere.append((number, job))
                    continue
                result = self._kept.get(job)  # another run may have been quicker
                if result is None:
                    self._taken[number] = job, claim.pop_all()
                return number, job, result
        if self._elsewhere and not self._said:
            self._said = True
            self._say(f"waiting for another run, which does {len(self._elsewhere)} of the same")
        return None

    def put(self, number: int, result: Any) -> None:
        """A job that was taken is done."""
        job, claim = self._taken.pop(number)
        with claim:
            self._kept.put(job, result)

    def close(self) -> None:
        """Leave what was taken and is not done to others."""
        for _, claim in self._taken.values():
            claim.close()
        self._taken = {}
