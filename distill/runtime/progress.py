"""Live progress with an estimate of the time left, on a terminal and in a log file alike.

`classes distilled: 4 of 16; 0:30 elapsed, about 1:30 left`: what is left is of this stage; others
may come.
"""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Sequence
from typing import TextIO

from distill.runtime import early

SHOWN = 3
"""Jobs of which a line says where they are, or of the others how many there are."""


def clock(seconds: float) -> str:
    """`75` -> `1:15`, `3700` -> `1:01:40`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _fits(terminal: TextIO) -> int | None:
    """How many characters a line of a terminal may have; None where it does not say."""
    with contextlib.suppress(OSError):
        if columns := os.get_terminal_size(terminal.fileno()).columns:
            return columns - 1
    return None


class Progress:
    """Counts the steps of one stage after another. `Progress()` is silent.

    On a terminal one line, as long as that is wide, is rewritten five times a second; elsewhere a
    line is written every ten seconds and at the end of a stage that took that long.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream
        self.terminal = stream is not None and stream.isatty()
        self.every = 0.2 if self.terminal else 10.0
        self.width = 0
        self.start("", 0)

    def start(self, stage: str, total: int, *, done: int = 0) -> None:
        """Begin `stage`, of `total` steps, of which an earlier run has `done` some."""
        self.stage, self.total, self.done, self.before = stage, total, done, done
        if total:
            early.begin()
        self.ahead = 0.0  # parts of steps that are under way
        self.began = self.shown = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done, 0 to show life; `note` is the figure of the moment."""
        self.done += steps
        now = time.monotonic()
        over = self.done >= self.total
        if self.stream is None or (now - self.shown < self.every and not (over and self.terminal)):
            return
        self.shown = now
        spent = now - self.began
        line = f"{self.stage}: {self.done} of {self.total}; {clock(spent)} elapsed"
        done = self.done - self.before + self.ahead
        if done and not over:
            left = spent / done * max(self.total - self.before - done, 0)
            line += f", about {clock(left)} left"
        line += f"; {note}" if note else ""
        if self.terminal:
            line = line[: _fits(self.stream)]  # the end of a longer one would stay
            self.stream.write("\r" + line.ljust(self.width) + ("\n" if over else ""))
            self.width = 0 if over else len(line)
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        """Write one line of its own."""
        if self.stream is not None:
            self.stream.write(("\n" if self.width else "") + text + "\n")
            self.stream.flush()
            self.width = 0


class Together:
    """One line for all of several jobs, of which some are under way at the same time."""

    def __init__(
        self, progress: Progress, what: str, sizes: Sequence[int], *, done: Collection[int] = ()
    ) -> None:
        """Begin a stage that counts `what`: each job is so many of them.

        Args:
            done: the numbers of the jobs that an earlier run has done.
        """
        self.progress, self.sizes = progress, sizes
        self.jobs: dict[int, tuple[str, str, float]] = {}
        self.began: dict[int, dict[str, float]] = {}
        self.others = 0
        progress.start(what, sum(sizes), done=sum(sizes[job] for job in done))

    def take(self, job: int, stage: str, done: int, total: int, note: str, before: int = 0) -> None:
        """The job number `job` has done so many of the steps of its own `stage`.

        Args:
            before: so many of them an earlier run had done.
        """
        now = time.monotonic()
        stages = self.began.setdefault(job, {})
        stages.setdefault(stage, now)
        spent, here = now - min(stages.values()), now - stages[stage]
        *_, last = self.jobs.get(job, ("", "", 0.0))
        done_part = (done - before) / max(total - before, 1)
        done_part = part(spent, here, done_part) if here or not spent else last
        self.jobs[job] = f"{stage} {done} of {total}", note, done_part
        self._show(0)

    def finish(self, job: int) -> None:
        """The job number `job` is done."""
        self.jobs.pop(job, None)
        self._show(self.sizes[job])

    def elsewhere(self, count: int) -> None:
        """So many of what is counted are done by others, of whom nothing else is known."""
        before, self.others = self.others, count
        self._show(count - before)

    def _show(self, steps: int) -> None:
        self.progress.ahead = sum(self.jobs[job][-1] * self.sizes[job] for job in self.jobs)
        jobs = [self.jobs[number] for number in sorted(self.jobs)]
        where = [place for place, *_ in jobs]
        if len(where) > SHOWN:
            where[SHOWN - 1 :] = [f"{len(where) - SHOWN + 1} more"]  # a line has an end
        note = jobs[0][1] if len(jobs) == 1 else ""
        self.progress.advance(steps, note=", ".join([*where, *([note] if note else [])]))


def part(spent: float, here: float, done: float) -> float:
    """How much of a job is done, `spent` seconds after its begin, if its present stage is the last.

    That stage took `here` seconds to do so large a part of its own.
    """
    expected = spent - here + here / done if done else 0.0
    return min(spent / expected if expected else done, 1.0)


class Forward(Progress):
    """The progress of one job, for those who show it: a few times a second at most.

    `take` is told the stage, its steps done and in total, the note, and how many steps an earlier
    run had done; `say` the lines.
    """

    def __init__(
        self, take: Callable[[str, int, int, str, int], None], say: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._take, self._say, self.every = take, say, 0.3

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done."""
        self.done += steps
        now = time.monotonic()
        if now - self.shown >= self.every:
            self.shown = now
            self._take(self.stage, self.done, self.total, note, self.before)

    def say(self, text: str) -> None:
        """Have one line written."""
        self._say(text)
